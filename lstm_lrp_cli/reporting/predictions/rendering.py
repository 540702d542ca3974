"""How blocks are predicted and written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lstm_lrp_cli.reporting.blocks import PIECE_VALUES, BlockRendering, steps_of_block
from lstm_lrp_cli.reporting.predictions.figures import PredictionFigures
from lstm_lrp_cli.reporting.predictions.layout import PredictionLayout
from lstm_lrp_cli.reporting.predictions.outputs import OUTPUTS
from lstm_lrp_cli.reporting.writer import Report, Writer
from lstm_lrp_cli.scaling.carried import Carried
from lstm_lrp_cli.scaling.prediction import Predictions, predict_corpus
from lstm_lrp_cli.sequences.read import Block, sequences_of


@dataclass(frozen=True, slots=True)
class PredictionRendering(BlockRendering[Predictions, PredictionFigures]):
    """How blocks are predicted and written.

    Parameters
    ----------
    form : str
        One of OUTPUTS.
    carried : Carried
        What stateful LSTMs keep from block to block.
    """

    layout: PredictionLayout
    form: str
    carried: Carried = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "carried", Carried(self.layout.model))

    @property
    def block_steps(self) -> int:
        """How many steps a block should have; fewer where every step has scores."""
        model = self.layout.model
        return steps_of_block(max(model.classes if model.by_step else 1, model.step_values))

    def writer(self, file: Any, report: Report | None = None) -> Writer[Predictions]:
        return OUTPUTS[self.form](file, self.layout)

    def results(self, block: Block) -> Iterator[Predictions]:
        model = self.layout.model
        for window in predict_corpus(model, sequences_of(block, model), self.carried):
            yield from window.parts(max(PIECE_VALUES // model.classes, 1))

    def figures(self, result: Predictions) -> PredictionFigures:
        return PredictionFigures.of(result, self.layout)
