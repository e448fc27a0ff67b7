"""Commands for people who run or build the tool."""
