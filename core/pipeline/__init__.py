"""What is done for each kind of job: the package to read first.

`prepare` → `transcribe`, and `diarize` beside it → `index` → `embed`, each a stage in a
module that reads alone; `periodic_tasks` is what is done again and again. Uses everything but `application`,
which builds the stages.
"""

from core.pipeline.pipeline import Pipeline
from core.pipeline.stage import Stage

__all__ = ["Pipeline", "Stage"]
