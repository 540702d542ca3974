"""What a comparison comes to: plain values, which every output is written from."""

from dataclasses import dataclass
from typing import Literal

from lstm_lrp_cli.results import Kind
from lstm_lrp_cli.statistics.tokens import Dropped

Rank = Literal["correlation", "difference"]
# The quantiles of correlations, as they are told, and in hundredths.
QUANTILES = {"5 %": 5, "25 %": 25, "50 %": 50, "75 %": 75, "95 %": 95}


@dataclass(frozen=True, slots=True)
class Change:
    """How often A predicts one class and B another.

    Parameters
    ----------
    a, b : str
    count : int
    """

    a: str
    b: str
    count: int


@dataclass(frozen=True, slots=True)
class Labelled:
    """Which side is right, where the true class is known.

    Parameters
    ----------
    both_right, only_a_right, only_b_right, both_wrong : int
    p_value : float
        How likely the two that are right alone would be so far apart, or more, if either were as
        often right as the other.
    """

    both_right: int
    only_a_right: int
    only_b_right: int
    both_wrong: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A sequence whose predicted class differs.

    Parameters
    ----------
    sequence, id, step, label
        As `Result` has them.
    a, b : str
        The predicted classes.
    difference : float
        The largest one of a score.
    text : str
        The beginning of the sequence; empty in a numeric series.
    input : str or None
        As `Result` has it.
    """

    sequence: int
    id: str | int | None
    step: int | None
    label: str | int | None
    a: str
    b: str
    difference: float
    text: str
    input: str | None


@dataclass(frozen=True, slots=True)
class ComparedPredictions:
    """Where predictions differ.

    Parameters
    ----------
    compared, different : int
        Of sequences or, where there are scores at every step, of steps.
    changes : list of Change
        The most frequent first.
    labelled : Labelled or None
        None where no true class is known.
    sequences : list of Disagreement
        The one with the largest difference of a score first.
    """

    compared: int
    different: int
    changes: list[Change]
    labelled: Labelled | None
    sequences: list[Disagreement]


@dataclass(frozen=True, slots=True)
class Differences:
    """How far numbers of A and B are from each other.

    Parameters
    ----------
    compared : int
        How many numbers.
    mean, largest : float
        Of the absolute differences.
    relative : float
        The largest difference, relative to numbers of A over 1.
    sequence : int or None
        The sequence with the largest difference; None where there is no difference.
    input : str or None
        As `Result` has it.
    """

    compared: int
    mean: float
    largest: float
    relative: float
    sequence: int | None
    input: str | None


@dataclass(frozen=True, slots=True)
class Correlations:
    """Correlations within explanations.

    Parameters
    ----------
    explanations : int
        How many have one: they have three tokens at least, and not all with the same relevance.
    mean : float or None
        None where none has one.
    quantiles : dict
        By their percentage: of the correlations, rounded to four decimals.
    """

    explanations: int
    mean: float | None
    quantiles: dict[str, float]


@dataclass(frozen=True, slots=True)
class OfRelevance:
    """How relevance agrees.

    Parameters
    ----------
    compared : int
        Explanations of the same sequence, target and step.
    alone : int
        Explanations of a target, or step, that the other side does not explain.
    other_tokens : int
        Sequences that the sides cut into different tokens.
    masked_by_one : int
        Tokens, or values of a numeric series, that have relevance by one side and are masked by
        the other.
    differences : Differences
    pearson, spearman : Correlations
    signs : int
        Tokens with relevance by both sides.
    same_sign : int
        Those of them for which it has the same sign.
    """

    compared: int
    alone: int
    other_tokens: int
    masked_by_one: int
    differences: Differences
    pearson: Correlations
    spearman: Correlations
    signs: int
    same_sign: int


@dataclass(frozen=True, slots=True)
class TokenDifference:
    """A token, or feature of a numeric series, whose relevance differs.

    Parameters
    ----------
    token : str
    count : int
        How often it was compared.
    difference : float
        The mean absolute difference.
    a, b : float
        The mean relevance.
    """

    token: str
    count: int
    difference: float
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class Apart:
    """Two explanations of the same, which are among those that differ most.

    Parameters
    ----------
    sequence, id, step, target, label
        As `Result` has them.
    a_predicted, b_predicted : str or None
    pearson, spearman : float or None
        None where it has none.
    difference : float
        The largest of a token's relevance, or of a step's value.
    position : int
        The position of that token, or step; of several inputs, among those of all.
    tokens : list of str or None
        None in a numeric series. Of several inputs, their tokens and steps, one after the other.
    a, b : list of float
        Relevance of each token or step; NaN of those that are masked.
    dates : list of str or None
        When each of them was, where that is known of all.
    input : str or None
        As `Result` has it.
    """

    sequence: int
    id: str | int | None
    step: int | None
    target: str | int | None
    label: str | int | None
    a_predicted: str | None
    b_predicted: str | None
    pearson: float | None
    spearman: float | None
    difference: float
    position: int
    tokens: list[str] | None
    a: list[float]
    b: list[float]
    dates: list[str] | None = None
    input: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two sides explain the same sequences.

    Parameters
    ----------
    a, b : str
        What they are.
    kind : {"token", "feature", "token or feature"}
        What relevance is told of; of several inputs, behind the input's name.
    rank : {"correlation", "difference"}
        What `most_different` is ordered by.
    min_count : int
        How often tokens must have been compared to be ranked.
    sequences : int
    predictions : ComparedPredictions
    scores : Differences
    relevance : OfRelevance
    dropped : Dropped or None
        None where the figures of tokens are of all of them.
    tokens : list of TokenDifference
        The largest mean difference first.
    most_different : list of Apart
        The most different first.
    """

    a: str
    b: str
    kind: Kind
    rank: Rank
    min_count: int
    sequences: int
    predictions: ComparedPredictions
    scores: Differences
    relevance: OfRelevance
    dropped: Dropped | None
    tokens: list[TokenDifference]
    most_different: list[Apart]

    @property
    def worst(self) -> float:
        """The largest difference of a score or a relevance, relative to numbers of A over 1."""
        return max(self.scores.relative, self.relevance.differences.relative)

    @property
    def complete(self) -> bool:
        """Whether nothing was left out that could not be compared."""
        relevance = self.relevance
        return not (relevance.alone or relevance.other_tokens or relevance.masked_by_one)

    def within(self, tolerance: float) -> bool:
        """Whether all could be compared, and nothing differs by more."""
        return self.complete and self.worst <= tolerance
