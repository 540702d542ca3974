"""A draft of the model that a state dict's modules make: each guess with what else may be there.

Of what shapes don't settle, the file's order is the likeliest: modules stand in it as scripts make
them. Each module is given what the one before it makes.
"""

import itertools
from collections.abc import Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.units import UnitsSpec
from lstm_lrp_cli.loading.mapping import InputSpec
from lstm_lrp_cli.loading.mapping.choices import (
    RELU_GUESS,
    Choices,
    ReadSteps,
    activated,
    activations,
    attended,
    convolutions,
    in_common,
    made_of_steps,
    normed,
    side_by_side,
    windows,
)
from lstm_lrp_cli.loading.mapping.draft import DraftedLayer, OpenQuestion
from lstm_lrp_cli.loading.torch.modules import FoundModule, Modules
from lstm_lrp_cli.model.layers import PoolName
from .finding import attention_at
from .gaps import Gap, gap_behind, layers_of, leading, usual_activation
from .records import StepsSaid, behind_steps, steps_said

# What layers that are mostly alike in a model are called.
BEHIND, OVER_STEPS, POOLING = "activations", "convolutions", "pooling"
ATTENTION = "attention: a softmax over the steps of one number each, which weighs them"
# No more choices than these are shown beside the likeliest.
MOST_SHOWN = 5
STEPS_END, BRANCH = "of_steps", "of_features"  # two layers that are joined


class Chain(Struct):
    """The layers as far as they are drafted, and what is open of them.

    Parameters
    ----------
    modules : Modules
        In the order in which they run.
    is_tagger : bool
        Whether there are scores at every step, by a name.
    units : int or None
        How many the last layer gives; None where it may be any number.
    joined : int
        How many units of a branch are put beside what is made of the steps.
    branch : list of DraftedLayer
        Its layers.
    is_part : bool
        Whether other layers go on from its end.
    is_joined : bool
        Whether the head is given what several recurrent modules make.
    guessed : list of FoundModule
        Those of which a setting, or what stands behind them, is a guess.
    misfits : list of FoundModule
        Those that take another number of units than what stands before them gives.
    settled : list of FoundModule
        Those without weights that the layers have.
    said : StepsSaid
        What modules say of what the head is given of the steps.
    """

    modules: Modules
    is_tagger: bool = False
    units: int | None = None
    layers: list[DraftedLayer] = field(default_factory=list)
    questions: list[OpenQuestion] = field(default_factory=list)
    inputs: list[InputSpec] = field(default_factory=list)
    joined: int = 0
    branch: list[DraftedLayer] = field(default_factory=list)
    is_part: bool = False
    is_joined: bool = False
    guessed: list[FoundModule] = field(default_factory=list)
    misfits: list[FoundModule] = field(default_factory=list)
    settled: list[FoundModule] = field(default_factory=list)
    said: StepsSaid = StepsSaid()

    @property
    def last_recurrent(self) -> int:
        """The place of the last recurrent module."""
        kinds = [each.kind for each in self.modules.found]
        return len(kinds) - 1 - kinds[::-1].index("recurrent")

    def ask(self, text: str, likeliest: str | None = None, **about: bool) -> None:
        self.questions.append(OpenQuestion(text, likeliest, **about))

    def draft(
        self, choices: Choices, guess: str, *, shown: int | None = None, family: str = ""
    ) -> None:
        """Put layers behind the others, the likeliest of some."""
        (this, layers), *others = choices.items()
        self.layers.append(
            DraftedLayer(layers, guess if others else "", this, dict(others), shown, family)
        )

    def put(self, *layers: LayerSpec, guess: str = "") -> None:
        self.layers.append(DraftedLayer(layers, guess))

    def following(self, place: int) -> int:
        """The place of the next module with weights; the number of modules where there is none."""
        found = self.modules.found
        return next(
            (k for k in range(place + 1, len(found)) if found[k].kind != "silent"), len(found)
        )

    def norms_behind(self, place: int) -> list[int]:
        """The places of normalizations that directly follow a module and are as wide."""
        found, units = self.modules.found, self.modules.found[place].outputs
        places: list[int] = []
        after = self.following(place)
        while (
            after < len(found)
            and found[after].is_norm
            and found[after].outputs == units
            and not layers_of(found[place + 1 : after])
        ):
            places.append(after)
            after = self.following(after)
        return places

    def take(self, module: FoundModule) -> None:
        """Go on with what a module gives, and remember if it takes another number of units."""
        if module.inputs and self.units not in (None, module.inputs):
            self.misfits.append(module)
        self.units = module.outputs or self.units

    def walk(self, start: int, stop: int) -> None:
        """Add the modules from one place up to another."""
        add = {
            "embedding": self.add_embedding,
            "convolution": self.add_convolution,
            "dense": self.add_dense,
            "recurrent": self.add_recurrent,
            "batch_norm": self.add_norm,
            "layer_norm": self.add_norm,
            "prelu": self.add_prelu,
            "self_attention": self.add_attention,
            "silent": self.following,
        }
        place = start
        while place < stop:
            own = [each for each in leading(self.modules, place) if each not in self.settled]
            self.settle(Gap(None, layers_of(own), tuple(own)))
            place = add[self.modules.found[place].kind](place)

    def settle(self, gap: Gap, *before: LayerSpec) -> bool:
        """Put what stands between two modules, where that is said, and layers before it."""
        if gap.layers is None:
            return False
        if before or gap.layers:
            self.put(*before, *gap.layers)
        self.settled += gap.silent
        return True

    # Of each kind of module: it is added, and what is next is returned.

    def add_convolution(self, place: int) -> int:
        module = self.modules.found[place]
        self.take(module)
        [layer] = module.layers
        width = self.modules.shapes[module.weights[0]][2]
        if module.record is not None:
            self.put(layer)
        else:
            self.guessed.append(module)
            guess = "stride, and padding; [1, 1] adds a step of zeros on either side, valid none"
            self.draft(convolutions(layer, width), guess, shown=0, family=OVER_STEPS)
        norms = self.norms_behind(place)
        end = norms[-1] if norms else place
        self._behind_convolution(module, norms, gap_behind(self.modules, end))
        after = self.following(end)
        if not any(layer.pool for layer in self.layers[-1].layers):
            self._pool_steps(place, after, ("max", "mean", "last", "sum"))
        return after

    def _usual_gap(self, module: FoundModule) -> int | None:
        """How many modules without weights stand behind most convolutions beside this one."""
        places = [
            each.place
            for each in self.modules.found
            if each.parent == module.parent and each.place is not None and each.weights
        ]
        gaps = [later - one - 1 for one, later in itertools.pairwise(places)]
        return max(gaps, default=None)

    def _behind_convolution(self, module: FoundModule, norms: Sequence[int], gap: Gap) -> None:
        """Normalizations, an activation and pooling behind a convolution."""
        between = tuple(layer for k in norms for layer in self.modules.found[k].layers)
        if self.settle(gap, *between):
            return
        if module not in self.guessed:
            self.guessed.append(module)
        hidden = self._usual_gap(module) if gap.hidden is None else gap.hidden
        first = "linear" if hidden == 0 else usual_activation(self.modules)
        guess = "relu behind a convolution; or tanh, linear, ..."
        self.draft(normed(between, activations(first=first)), guess, shown=0, family=BEHIND)
        pooled = windows()
        if hidden is not None and hidden > 1:
            kinds = list(pooled)
            pooled = {kind: pooled[kind] for kind in (kinds[1], kinds[0], *kinds[2:])}
        self.draft(pooled, "whether steps are pooled here", shown=2, family=POOLING)

    def add_dense(self, place: int) -> int:
        """A linear layer, and what stands before the next one."""
        module = self.modules.found[place]
        self.take(module)
        [layer] = module.layers
        norms = self.norms_behind(place)
        end = norms[-1] if norms else place
        gap, after = gap_behind(self.modules, end), self.following(end)
        between = tuple(one for k in norms for one in self.modules.found[k].layers)
        if self.settle(gap, layer, *between):
            return after
        if after == len(self.modules.found) and not self.is_part:
            self.put(layer, *between)
        else:
            self.guessed.append(module)
            first = "linear" if norms and gap.hidden == 0 else usual_activation(self.modules)
            self._activated(layer, between, self._places(place, norms), first)
        return after

    def _places(self, place: int, norms: Sequence[int]) -> bool:
        """Whether nothing stands between a layer and its normalization, by their names."""
        found = self.modules.found
        pairs = itertools.pairwise([place, *norms])
        return all(
            found[one].parent == found[other].parent
            and None not in (found[one].place, found[other].place)
            and (found[other].place or 0) - (found[one].place or 0) == 1
            for one, other in pairs
        )

    def _activated(
        self, layer: LayerSpec, between: tuple[LayerSpec, ...], is_next: bool, first: str
    ) -> None:
        """A linear layer with an activation, behind its normalization or before that."""
        if not between:
            self.draft(activations(layer, first), RELU_GUESS, shown=0, family=BEHIND)
            return
        choices = {
            what: (layer, *layers) for what, layers in normed(between, activations()).items()
        }
        if not is_next:
            for what, layers in activations(layer, first).items():
                choices[f"{what}, before the normalization"] = (*layers, *between)
        self.draft(choices, RELU_GUESS, shown=0, family=BEHIND)

    def add_recurrent(self, place: int) -> int:
        """A recurrent module of which every step goes on, or the last one with all of its ends."""
        module = self.modules.found[place]
        self.take(module)
        if place < self.last_recurrent:
            note = "every step's output is used"
            self.layers += [DraftedLayer((each,)) for each in module.layers[:-1]]
            self.put(module.layers[-1], guess=note)
            return self._go_on(place)
        return self._end(place)

    def _end(self, place: int) -> int:
        """The last recurrent module, and what is made of its steps."""
        found, module = self.modules.found, self.modules.found[place]
        norms = self.norms_behind(place)
        after = self.following(norms[-1] if norms else place)
        layers = tuple(layer for k in norms for layer in found[k].layers)
        if after < len(found) and found[after].kind in ("self_attention", "convolution"):
            steps = ReadSteps(module.layers, module.outputs, None, layers)
            self.put(*steps.returned("sequence"), *layers, guess="every step's output is used")
            return after
        attention = attention_at(found[after:], module.outputs, self.joined)
        chain = [each for each in found[after:] if each.kind == "dense"][len(attention) :]
        takes = chain[0].inputs - self.joined if chain else None
        steps = ReadSteps(module.layers, module.outputs, takes, layers)
        if attention:
            specs = [each.layers[0].dense for each in attention]
            self._choose(steps.attended(specs[-1], specs[0] if specs[1:] else None), ATTENTION)
            after = self.following(found.index(attention[-1]))
        else:
            # Nothing is known to make another number of units: that is asked for elsewhere.
            ends = steps.ends(self.is_tagger or not chain)
            ends = ends or replace(steps, takes=None).ends(self.is_tagger)
            self.said = steps_said(self.modules, after)
            if self.said.pool in ends:
                self.settled += self.said.silent
            self._choose(self.said.ordered(ends), "what of its steps goes on")
            if chain:
                self._activate_steps(place, after)
        if self.joined:
            self.layers += self.branch
            self.put(LayerSpec(source=[STEPS_END, BRANCH], merge="concat"))
        self.units = chain[0].inputs if chain else module.outputs
        return after

    def _choose(self, choices: Choices, guess: str) -> None:
        """One of several ways to go on from the steps; where a branch joins it, it has a name."""
        if self.joined:
            choices = {
                what: (*layers[:-1], replace(layers[-1], name=STEPS_END))
                for what, layers in choices.items()
            }
        shared = in_common(choices)
        self.layers += [DraftedLayer((each,)) for each in shared]
        # What is rare is tried by `lrp match`, and makes no draft longer.
        usual = [all(layer.attend is None for layer in each) for each in choices.values()]
        own = {what: each[len(shared) :] for what, each in choices.items()}
        self.draft(own, guess, shown=min(sum(usual) - 1, MOST_SHOWN))

    def _activate_steps(self, place: int, after: int) -> None:
        """An activation behind the recurrent layer, which some scripts have."""
        said = behind_steps(self.modules, place, after)
        if said and not self.joined:
            self.settle(Gap(None, layers_of(said), tuple(said)))
            return
        if self.joined or self.modules.is_sequence(self.modules.found[place].parent):
            return
        choices: Choices = {
            "no activation behind the steps": (),
            **{
                f"{name} behind the steps": activated(None, name)
                for name in ("relu", "tanh", "gelu")
            },
        }
        guess = "no activation behind it; else put `- activation: relu` here"
        self.draft(choices, guess, shown=0)

    def add_attention(self, place: int) -> int:
        """An nn.MultiheadAttention of the steps with themselves; then one vector of them."""
        module = self.modules.found[place]
        self.take(module)
        first, last = module.layers
        units = module.outputs
        parts = [
            LayerSpec(name=name, source="projected", units=UnitsSpec(k * units, (k + 1) * units))
            for k, name in enumerate(("query", "key", "value"))
        ]
        said = None if module.record is None else module.record.settings.get("num_heads")
        heads = attended(units, said if type(said) is int else None)
        if len(heads) > 1:
            self.ask(f"nothing says how many heads `{module.called}` has", is_searched=True)
        self.put(replace(first, name="projected"))
        self.layers += [DraftedLayer((part,)) for part in parts]
        self.draft(heads, "the number of heads")
        self.put(last)
        self._pool_steps(place, self.following(place), ("mean", "last", "max", "sum"))
        return self.following(place)

    def _pool_steps(self, place: int, after: int, pools: tuple[PoolName, ...]) -> None:
        """What goes on of steps that are made of the last recurrent module's."""
        found, made = self.modules.found, self.modules.found[place]
        ends = after >= len(found) or found[after].kind in ("self_attention", "convolution")
        if place < self.last_recurrent or self.is_tagger or ends:
            return
        takes = found[after].inputs
        if made.outputs and takes % made.outputs == 0:
            self.units = takes
        self.draft(made_of_steps(pools, made.outputs, takes), "what of these steps goes on")

    def add_norm(self, place: int) -> int:
        module = self.modules.found[place]
        self.take(module)
        self.put(*module.layers, guess="" if module.record else "epsilon, and where it stands")
        return self._go_on(place)

    def add_prelu(self, place: int) -> int:
        self.put(*self.modules.found[place].layers)
        return self._go_on(place)

    def add_embedding(self, place: int) -> int:
        module, found = self.modules.found[place], self.modules.found
        places, after = [place], self.following(place)
        while after < len(found) and found[after].kind == "embedding":
            places.append(after)
            after = self.following(after)
        takes = found[after].inputs if after < len(found) else 0
        rest = takes - sum(found[each].outputs for each in places)
        if rest >= 0 and takes > module.outputs and not (self.layers or self.inputs):
            every = [found[each] for each in places]
            self.inputs, layers = side_by_side([each.layers[0] for each in every], rest)
            self.put(*layers, guess="what is put side by side, and in which order")
            self.units = takes
            return self._go_on(places[-1])
        note = "an embedding, by its " + ("name" if module.is_named_embedding else "shape")
        self.put(*module.layers, guess="" if module.record is not None else note)
        self.units = module.outputs
        return self._go_on(place)

    def _go_on(self, place: int) -> int:
        """Put what is said to stand behind a module; the place of the next one."""
        self.settle(gap_behind(self.modules, place))
        return self.following(place)
