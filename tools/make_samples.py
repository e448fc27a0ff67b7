"""Make the sample recordings in tests/data from text: `python -m tools.make_samples`.

Needs what is not needed otherwise, as the recordings are committed with their texts:
`apt-get install festival festvox-ru flite espeak-ng sox ffmpeg` on Debian.

What real engines hear is spoken by voices cut from people's recordings: festival's Russian one, festvox-ru
(msu_ru_nsh_clunits, © 2005 Nickolay V. Shmyrev, BSD-like: use and distribution are free), and flite's
English ones, slt and rms (CMU ARCTIC, free as well). espeak-ng's robot speaks only where the toy model
listens, which understands nothing else: `ru_meeting` and `call_stereo`.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"

Line = tuple[str, str]
"""A voice (of espeak-ng with its speed, of flite, or festival's) and what it says."""

RUSSIAN = "festival"

RU_PLANNING: list[Line] = [
    (RUSSIAN, "Доброе утро, коллеги, начинаем совещание."),
    (RUSSIAN, "Вот новый бюджет на следующий год."),
    (RUSSIAN, "В этом месяце мы потратили слишком много денег на рекламу."),
    (RUSSIAN, "Расходы на рекламу выросли почти в два раза, их надо сократить."),
    (RUSSIAN, "Хорошо, второй вопрос касается нового договора."),
    (RUSSIAN, "Если они согласятся, мы подпишем договор в пятницу."),
    (RUSSIAN, "Вчера звонил наш самый крупный клиент."),
    (RUSSIAN, "Он ждёт ответа от службы поддержки и очень недоволен."),
    (RUSSIAN, "Надо позвонить ему сегодня и починить машину бесплатно."),
    (RUSSIAN, "Я сегодня позвоню ему и отправлю мастера."),
    (RUSSIAN, "Спасибо, в следующем месяце мы примем на работу трёх молодых инженеров."),
    (RUSSIAN, "На этом всё, до встречи в понедельник."),
]

GUEST_MEETING: list[Line] = [
    *RU_PLANNING[:4],
    ("slt", "Good morning, and thank you for inviting me to your meeting."),
    ("slt", "Our bank can lend you the money for the new building, if you sign the contract this month."),
    ("slt", "I will send you the report and all the papers on Friday."),
    *RU_PLANNING[4:7],
]
"""A meeting in Russian with a guest who speaks English."""

RU_MEETING: list[Line] = [
    ("ru+f2 150", "Вчера вечером бухгалтерия подготовила новый бюджет и попросила всех высказать замечания."),
    ("ru 160", "На прошлой неделе служба поддержки предложила новый бюджет и перенесла срок."),
    ("ru+f2 160", "Вчера вечером бухгалтерия отправила подробный план и попросила всех высказать замечания."),
    (
        "ru+m3 160",
        "Вчера вечером служба поддержки обновила первый список и попросила всех высказать замечания.",
    ),
    ("ru+f2 160", "Сегодня вечером служба поддержки подготовила новый список и обновила список."),
    ("ru 160", "Сегодня вечером команда разработки закончила подробный список."),
    ("ru 170", "Вчера вечером бухгалтерия отправила первый бюджет и перенесла срок."),
    ("ru+m3 150", "Вчера вечером команда изменила новый план и попросила всех высказать замечания."),
    ("ru+m3 150", "На прошлой неделе служба поддержки прочитала подробный план."),
]

EN_MEETING: list[Line] = [
    ("slt", "Good morning everyone, and thank you for coming to the meeting."),
    ("slt", "We spent too much money this month, so we have to cut costs."),
    ("slt", "The bank will send us the account report on Friday."),
    ("rms", "Our best customer called about the broken machine."),
    ("rms", "He waited two weeks for an answer and he is very angry."),
    ("rms", "We must call him back today and repair it for free."),
    ("slt", "Next month we will hire three young people."),
    ("slt", "They will learn how to write computer programs."),
    ("rms", "On Monday we fly to London for the conference."),
    ("rms", "The hotel is near the station, and breakfast is at seven o'clock."),
    ("slt", "Please read the new contract before you sign it."),
    ("slt", "That is all for today, see you next week."),
]

CALL_LEFT: dict[int, Line] = {
    0: ("ru+f2 160", "Сегодня вечером команда закончила первый бюджет и отправила список."),
    2: (
        "ru+f2 160",
        "Вчера вечером бухгалтерия отправила подробный план и попросила всех высказать замечания.",
    ),
}
CALL_RIGHT: dict[int, Line] = {
    1: ("ru 160", "Сегодня вечером служба поддержки перенесла новый список и предложила новый план."),
    3: (
        "ru 150",
        "На прошлой неделе команда закончила первый результат и попросила всех высказать замечания.",
    ),
}

RU_SIDE: dict[int, Line] = {
    0: (RUSSIAN, "Алло, добрый день. Это служба поддержки завода, чем могу помочь?"),
    2: (RUSSIAN, "Извините, я не говорю по-английски. Сейчас я переключу вас на переводчика."),
    4: (RUSSIAN, "Пожалуйста, подождите одну минуту, он уже идёт."),
}
EN_SIDE: dict[int, Line] = {
    1: ("slt", "Hello, I am calling about the machine that we bought from you last year."),
    3: ("slt", "Thank you, I will wait. The machine is broken again, and we need a mechanic today."),
}
"""A call in two languages, one a channel."""

NOISE = 0.0015
"""Amplitude of the room: no recording of people is ever digitally silent."""


def say(line: Line, path: Path) -> None:
    """One line as 16 kHz mono WAV."""
    voice, text = line
    raw = path.with_suffix(".raw.wav")
    if voice.startswith("ru"):
        name, speed = voice.split()
        subprocess.run(["espeak-ng", "-v", name, "-s", speed, "-w", raw, text], check=True)
    elif voice == RUSSIAN:
        command = ["text2wave", "-eval", "(voice_msu_ru_nsh_clunits)", "-o", raw]
        subprocess.run(command, input=text.encode(), check=True)
    else:
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", raw], check=True)
    subprocess.run(["sox", "-R", raw, "-r", "16000", "-c", "1", "-b", "16", path], check=True)


def join(lines: list[Line], folder: Path, pause_s: float) -> Path:
    """All lines one after another, with a pause after each."""
    whole, parts = folder / "whole.wav", []
    for number, line in enumerate(lines):
        part, spaced = folder / f"{number}.wav", folder / f"{number}.spaced.wav"
        say(line, part)
        subprocess.run(["sox", part, spaced, "pad", "0.3", str(pause_s)], check=True)
        parts.append(spaced)
    subprocess.run(["sox", *parts, whole], check=True)
    return whole


def duration_s(wav: Path) -> float:
    """How long a WAV lasts."""
    return float(subprocess.run(["soxi", "-D", wav], check=True, capture_output=True, text=True).stdout)


def encode(wav: Path, name: str, bits: str) -> None:
    """Write a WAV as opus into tests/data, without the date that would change every time."""
    target, noisy = DATA / name, wav.with_suffix(".noisy.wav")
    noise = ["sox", "-R", wav, "-p", "synth", "whitenoise", "vol", str(NOISE)]
    with subprocess.Popen(noise, stdout=subprocess.PIPE) as room:
        subprocess.run(["sox", "-m", "-v", "1", wav, "-v", "1", "-p", noisy], stdin=room.stdout, check=True)
    command = ["ffmpeg", "-y", "-v", "error", "-i", noisy, "-c:a", "libopus", "-b:a", bits]
    subprocess.run([*command, "-fflags", "+bitexact", "-flags", "+bitexact", target], check=True)
    print(f"{name}: {duration_s(wav):.1f} s, {target.stat().st_size / 1024:.0f} KiB")


def meeting(name: str, lines: list[Line], bits: str = "24k") -> None:
    """A recording and the text that is spoken in it, a sentence a line."""
    with tempfile.TemporaryDirectory() as folder:
        encode(join(lines, Path(folder), pause_s=0.9), f"{name}.opus", bits)
    (DATA / f"{name}.txt").write_text("\n".join(text for _, text in lines) + "\n", encoding="utf-8")


def channel(lines: dict[int, Line], other: dict[int, Line], folder: Path) -> Path:
    """One side of a call: its own lines, and silence while the other speaks."""
    folder.mkdir()
    parts = []
    for number in sorted(lines | other):
        part = folder / f"{number}.wav"
        say((lines | other)[number], part)
        spaced = folder / f"{number}.spaced.wav"
        volume = ["vol", "1" if number in lines else "0"]
        subprocess.run(["sox", part, spaced, "pad", "0.3", "0.6", *volume], check=True)
        parts.append(spaced)
    whole = folder / "whole.wav"
    subprocess.run(["sox", *parts, whole], check=True)
    return whole


def call(name: str, left: dict[int, Line], right: dict[int, Line], bits: str = "32k") -> None:
    """Two people on two channels, in turns."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        both = folder / "both.wav"
        sides = [channel(left, right, folder / "left"), channel(right, left, folder / "right")]
        subprocess.run(["sox", "-M", *sides, both], check=True)
        encode(both, f"{name}.opus", bits)
    for side, lines in (("left", left), ("right", right)):
        text = "\n".join(text for _, (_, text) in sorted(lines.items()))
        (DATA / f"{name}.{side}.txt").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    meeting("ru_planning", RU_PLANNING)
    meeting("en_meeting", EN_MEETING, "64k")
    meeting("guest_meeting", GUEST_MEETING)
    call("two_languages", RU_SIDE, EN_SIDE)
    meeting("ru_meeting", RU_MEETING, "64k")
    call("call_stereo", CALL_LEFT, CALL_RIGHT, "64k")
