"""Judge texts of your own by Gopher's rules, and see which rules a text breaks and by how much."""

from corpuskit.filter.rules import Rules
from corpuskit.testing import documents

texts = [
    "The ferry has no engine. It hangs from a cable that crosses the river, and the current pushes it over. "
    "The ferryman has been doing this for thirty years, and he says that he is in no hurry to have a bridge. "
    "On a warm Sunday he takes four hundred bicycles across, and on a wet Tuesday he takes the postwoman.",
    "cheap hotel best hotel cheap hotel best hotel cheap hotel best hotel",
]

split = Rules(tables=("gopher",)).split(documents(texts))

print("kept:", split.kept["text"].to_pylist()[0][:24], "...")
for reject in split.rejected.to_pylist():
    print(f"{reject['rule']}: {reject['value']:.2f}, the bound is {reject['bound']:g}")
