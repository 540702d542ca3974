"""What a corpus of explanations comes to: plain values, which every output is written from."""

from dataclasses import dataclass

from lstm_lrp_cli.results import Kind
from lstm_lrp_cli.statistics.tokens import Dropped, TokenFigures

# Positions that are told one by one; all later ones are told together.
POSITIONS = 100
PARTS = 10


@dataclass(frozen=True, slots=True)
class PositionFigures:
    """What stands at one position, or in one part, of all sequences.

    Parameters
    ----------
    position : int
        From 0; of parts, the tenth of the sequence.
    count : int
        How many tokens or steps stand there.
    mean, mean_absolute : float
        Of their relevance, and of its size.
    """

    position: int
    count: int
    mean: float
    mean_absolute: float


@dataclass(frozen=True, slots=True)
class ByPosition:
    """Relevance by position. Positions at which nothing stands are left out.

    Parameters
    ----------
    from_start : list of PositionFigures
        The first ones, one by one.
    later : PositionFigures or None
        All behind those, under the number of the first of them; None where there are none.
    tenths : list of PositionFigures
        Of each sequence's length: those of the first, ..., last tenth.
    """

    from_start: list[PositionFigures]
    later: PositionFigures | None
    tenths: list[PositionFigures]


@dataclass(frozen=True, slots=True)
class OfTarget:
    """All explanations of one class.

    Parameters
    ----------
    target : str or int
    explanations : int
    tokens : int
        Their tokens or steps.
    unknown : int
        The unknown tokens among them.
    relevance : float
        The sum of all their relevance.
    distinct : int
        How many different tokens, or features, there are figures of.
    highest_mean, lowest_mean : list of TokenFigures
        Those with the most and the least relevance on average, which are not too rare for it.
    highest_total, lowest_total : list of TokenFigures
        Those with the most and the least relevance in all.
    positions : ByPosition
    """

    target: str | int
    explanations: int
    tokens: int
    unknown: int
    relevance: float
    distinct: int
    highest_mean: list[TokenFigures]
    lowest_mean: list[TokenFigures]
    highest_total: list[TokenFigures]
    lowest_total: list[TokenFigures]
    positions: ByPosition


@dataclass(frozen=True, slots=True)
class Cell:
    """The explanations of one class in one cell of the confusion matrix.

    Parameters
    ----------
    label : str or int
        The true class.
    predicted : str, int or None
        The predicted class; None where the results do not tell it.
    right : bool
        Whether they are the same.
    target : str or int
        The class that is explained.
    explanations : int
    highest_total, lowest_total : list of TokenFigures
        The tokens that speak most for the target there, and most against it.
    """

    label: str | int
    predicted: str | int | None
    right: bool
    target: str | int
    explanations: int
    highest_total: list[TokenFigures]
    lowest_total: list[TokenFigures]


@dataclass(frozen=True, slots=True)
class Residual:
    """What is left of one score.

    Parameters
    ----------
    source : str
        The file of results; of a folder of parts, the input.
    sequence, id, target, step
        As `Result` has them.
    text : str
        The beginning of the sequence; empty in a numeric series.
    residual : float
        As the ledger has it.
    relative : float
        Its size, relative to the larger of the score and the sum of the shares' sizes.
    """

    source: str
    sequence: int
    id: str | int | None
    target: str | int | None
    step: int | None
    text: str
    residual: float
    relative: float


@dataclass(frozen=True, slots=True)
class OfMethod:
    """All explanations by one method.

    Parameters
    ----------
    method : str or None
        None where the results do not name it.
    explanations : int
    without_score : int
        Explanations of nothing: of sequences without the step that was asked for.
    targets : list of OfTarget
    confusion : list of Cell
        Where labels are known: the wrong cells before the right ones, the largest first.
    worst_residuals : list of Residual
        The worst first; none where the method gives no ledgers.
    """

    method: str | None
    explanations: int
    without_score: int
    targets: list[OfTarget]
    confusion: list[Cell]
    worst_residuals: list[Residual]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a corpus of explanations comes to.

    Parameters
    ----------
    results : list of str
        The files, or folders of parts.
    files : int
        How many files residuals may be of: files of results or, of parts, of their input.
    kind : {"token", "feature", "token or feature"}
        What relevance is told of; of several inputs, behind the input's name.
    top, min_count : int
        How many tokens are ranked, and how often they must stand there to be ranked by mean.
    dropped : Dropped or None
        None where the figures are of all tokens.
    methods : list of OfMethod
        In the order in which they first come.
    """

    results: list[str]
    files: int
    kind: Kind
    top: int
    min_count: int
    dropped: Dropped | None
    methods: list[OfMethod]
