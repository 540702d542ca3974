// The data: sequences with all their explanations, and what is told of them.

const [about] = JSON.parse(document.getElementById("about").textContent);

// A block is a hundred kilobytes or so; between some of them the browser may answer its user.
const PATIENCE_MS = 40;

/** All sequences, read block by block; `tell` is given their number now and then. */
async function readSequences(tell) {
  const sequences = [];
  let last = null;
  let since = performance.now();
  for (const block of document.querySelectorAll("script.explanations")) {
    for (const { sequence: number, ...explanation } of JSON.parse(block.textContent)) {
      if (last === null || last.number !== number) {
        const { id, inputs, label, right } = explanation;
        last = { ...givenOf(number, explanation), id, label, right, explanations: [] };
        last.inputs = inputs?.map((own) => givenOf(number, own));
        sequences.push(last);
      }
      last.explanations.push(explanation);
    }
    if (performance.now() - since > PATIENCE_MS) {
      tell(sequences.length);
      await new Promise((resolve) => setTimeout(resolve));
      since = performance.now();
    }
  }
  return sequences;
}

/** What an input is given of a sequence: tokens, or values of features. */
function givenOf(number, { tokens, left_out, cut, features, values, dates }) {
  return { number, tokens, leftOut: new Set(left_out), cutOff: new Set(cut), features, values, dates };
}

/** What a step is called: by its number, with its date where that is known. */
function stepName({ dates }, step, what = "step") {
  return dates === undefined ? `${what} ${step}` : `${what} ${step}, ${shown(dates[step])}`;
}

/** A view of each input of a model with several, with its name; else of the only one. */
function partsOf(view) {
  const { sequence, explanation } = view;
  if (sequence.inputs === undefined) return [view];
  return sequence.inputs.map((own, input) => ({
    ...view,
    name: about.inputs[input],
    sequence: own,
    explanation: { ...explanation, relevance: explanation.relevance[input] },
  }));
}

// Its one score is that of class 1, and class 0 has the score's negative.
const isBinary = about.binary;

/** The head whose score is explained. */
function headOf(target) {
  return isBinary ? about.heads[0] : about.heads.find((head) => target < head.stop);
}

/** Whether a head has but one score. */
const isAlone = ({ start, stop }) => stop - start === 1;

function scoreOf({ target, against, scores }) {
  if (target === null) return NaN;
  if (against !== undefined) return scoreOf({ target, scores }) - scoreOf({ target: against, scores });
  if (isBinary) return target === 1 ? scores[0] : -scores[0];
  return scores[target];
}

/** How far the best score is from the second, or a single one from 0; nothing of values. */
function marginOf({ target, predicted, scores }) {
  if (target === null || predicted === null) return NaN;
  const head = headOf(target);
  if (isAlone(head)) return Math.abs(scores[head.start]);
  const [first, second] = scores.slice(head.start, head.stop).sort((a, b) => b - a);
  return first - second;
}

/** What no share of the ledger accounts for, as a part of the shares' sizes. */
function residualOf({ ledger, target, against, scores }) {
  if (ledger === null) return NaN;
  const [score, ...shares] = ledger;
  const residual = shares.pop();
  const scale = shares.reduce((sum, share) => sum + Math.abs(share), 0);
  // Of a difference, rounding errors of both scores are left.
  const both = against === undefined ? [] : [target, against];
  const sizes = both.reduce((sum, each) => sum + Math.abs(scoreOf({ target: each, scores })), 0);
  return residual === 0 ? 0 : Math.abs(residual) / Math.max(Math.abs(score), scale, sizes);
}

/** The largest size of any relevance in an explanation. */
function strongestOf(explanation) {
  explanation.strongest ??= explanation.relevance
    .flat(Infinity)
    .reduce((strongest, amount) => Math.max(strongest, Math.abs(amount)), 0);
  return explanation.strongest;
}

function lengthOf(sequence) {
  const inputs = sequence.inputs ?? [sequence];
  return inputs.reduce((sum, own) => sum + (own.tokens ?? own.values).length, 0);
}

/** Whether a step has no relevance, since the model passes over it. */
function isMissing({ relevance }, step) {
  const amount = relevance[step];
  return (Array.isArray(amount) ? amount[0] : amount) === null;
}

/** Why the model passes over a step. */
function whyMissing(sequence, step) {
  if (sequence.leftOut.has(step)) return "left out";
  return sequence.cutOff.has(step) ? "cut off" : "masked";
}

/** How many steps the model is run on. */
function realLengthOf({ relevance }) {
  return relevance.filter((_, step) => !isMissing({ relevance }, step)).length;
}

/** Text that a search looks through, in lower case. */
function searchedText(sequence) {
  const inputs = sequence.inputs ?? [sequence];
  const tokens = inputs.flatMap((own) => own.tokens ?? []);
  sequence.text ??= [sequence.id ?? "", ...tokens].join(" ").toLowerCase();
  return sequence.text;
}

/** The steps of a sequence whose scores are explained, where the model gives one at each. */
function stepsOf(sequence) {
  if (!about.by_step) return [];
  return [...new Set(sequence.explanations.map((each) => each.step))].filter((k) => k !== null);
}

/** The explanation that is shown of a sequence; undefined where there is none of that target. */
function chosenOf(sequence, state) {
  const step = sequence.step ?? stepsOf(sequence).at(-1) ?? null;
  return sequence.explanations.find(
    (each) =>
      each.method === state.method &&
      each.step === step &&
      (each.target === null || state.target.takes(each, sequence)),
  );
}

/** The targets that can be chosen between; a single one where one was explained. */
function targetChoices(sequences) {
  const scored = sequences.find((sequence) => sequence.explanations[0].target !== null);
  const [first] = scored?.explanations ?? [];
  const together = (scored?.explanations ?? []).filter(
    (each) => each.method === first.method && each.step === first.step,
  );
  if (together.length < 2) return [{ name: "", takes: () => true }];
  const ofHeads = about.heads.filter((head) => !isAlone(head)).map(({ name, start, stop }) => ({
    name: about.heads.length > 1 ? `predicted, ${name ?? about.classes[start]}` : "predicted class",
    takes: ({ target, predicted }) =>
      target >= start && target < stop && about.outcomes[predicted]?.target === target,
  }));
  // Several differences of a sequence are one at each output that chooses among classes.
  if (first.against !== undefined) return ofHeads;
  const isLabelled = sequences.some(({ label }) => label !== null);
  const ofLabel = { name: "true class", takes: ({ target }, { label }) => target === label };
  const every = together.length === about.classes.length;
  const ofClasses = about.classes
    .map((name, number) => ({ name, number, takes: ({ target }) => target === number }))
    .filter(({ number }) => every || isAlone(headOf(number)));
  return [...ofHeads, ...(isLabelled ? [ofLabel] : []), ...ofClasses];
}
