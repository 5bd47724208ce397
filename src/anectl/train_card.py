"""What follows a training run, and its options: the model card beside the checkpoint, the upload to the hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from anectl.core.card_facts import FACTS_FILE, CardFacts, Measured, card_facts, data_facts, measured
from anectl.core.errors import AnectlError
from anectl.core.manifest import manifest_path
from anectl.core.model_card import CARD_FILE, write_card
from anectl.core.ranks import leads
from anectl.core.records import Result
from anectl.core.training import TrainFolder, TrainingRow
from anectl.engines import load_engine

CardScores = Annotated[
    list[str] | None,
    typer.Option(
        "--card-scores",
        metavar="FILE",
        help="Scores to put into the model card, of the base for instance; with --resume into that of a finished run.",
    ),
]
PushToHub = Annotated[
    str | None,
    typer.Option(
        metavar="REPO",
        help="Upload the finished model to this repository of the Hugging Face hub, a private one unless --hub-public; "
        "with --resume that of a finished run.",
    ),
]
HubPublic = Annotated[bool, typer.Option("--hub-public", help="Let --push-to-hub publish: anyone can read it.")]

# Options that decide nothing of the weights, so that a run may be resumed with others.
_OWN = frozenset({"card_scores", "push_to_hub", "hub_public"})


class Aftermath:
    """The card and the upload of one run. Only the first of several processes does anything.

    Raises AnectlError, before any training, for scores that cannot be read and an upload that could not work.
    """

    def __init__(self, options: Mapping[str, Any], say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._repo: str | None = options["push_to_hub"]
        self._scores: list[Measured] = []
        if leads():
            self._scores = measured(options["card_scores"] or ())
            if self._repo is not None:
                load_engine("hub_upload", "train").check_access(self._repo, public=options["hub_public"])
                if options["lora"] and not options["merge"] and Path(options["model"]).is_dir():
                    say(f"warning: the adapters will name a base that only this machine has: {options['model']}")

    def describe(self, folder: TrainFolder, rows: Sequence[TrainingRow], result: Result) -> None:
        """Write the card of a run that is about to be committed."""
        manifest = msgspec.json.decode(manifest_path(folder.path).read_bytes())
        inputs = self._options["inputs"] or ()
        data = data_facts((row.example for row in rows), inputs, str(manifest.get("data", "")))
        facts = card_facts(result, data, self._options, manifest)
        facts = msgspec.structs.replace(facts, scores=self._scores)
        self._tell(write_card(folder.partial, facts, standing=folder.path / CARD_FILE))

    def renew(self, folder: Path) -> None:
        """Put the scores into the card of a finished run. Raises AnectlError where it has no facts to write it from."""
        if not self._scores:
            return
        try:
            facts = msgspec.json.decode((folder / FACTS_FILE).read_bytes(), type=CardFacts)
        except (OSError, msgspec.DecodeError):
            raise AnectlError(
                f"has no {FACTS_FILE} to write a card from", path=str(folder), hint="it is of an earlier version"
            ) from None
        self._tell(write_card(folder, msgspec.structs.replace(facts, scores=self._scores)))

    def _tell(self, written: str) -> None:
        if written != CARD_FILE:
            self._say(f"{CARD_FILE} was edited by hand and stays; the new card is {written}")

    def push(self, folder: Path) -> None:
        """Upload a finished checkpoint where asked. Raises AnectlError; the checkpoint stays complete."""
        if self._repo is None:
            return
        self._say(f"uploading {folder} to {self._repo}")
        try:
            place = load_engine("hub_upload", "train").upload(folder, self._repo, public=self._options["hub_public"])
        except AnectlError as error:
            error.hint = f"{error.hint}; the run is complete: the same call with --resume uploads it again"
            raise
        self._say(f"uploaded: {place}")


def deciding(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that only say what follows the run."""
    return {name: value for name, value in options.items() if name not in _OWN}
