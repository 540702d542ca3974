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
        const { id, tokens, features, values, label, right } = explanation;
        last = { number, id, tokens, features, values, label, right, explanations: [] };
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

const isBinary = about.classes.length === 1 && !about.regression;

/** The names of what may be predicted: the classes, or of a single output its yes and no. */
const outcomes = isBinary ? [`not ${about.classes[0]}`, about.classes[0]] : about.classes;

function headOf(target) {
  return about.heads.find((head) => target < head.stop);
}

/** Which of the outcomes is predicted; null where none is, as by a regressor. */
function predictedOf({ target, predicted, scores }) {
  if (target === null || about.regression) return null;
  if (isBinary) return scores[0] > 0 ? 1 : 0;
  const { start, stop } = headOf(target);
  return stop - start > 1 ? predicted : null;
}

function scoreOf({ target, scores }) {
  return target === null ? NaN : scores[target];
}

/** How far the best score is from the second, or a single one from 0. */
function marginOf({ target, scores }) {
  if (target === null) return NaN;
  if (isBinary) return Math.abs(scores[0]);
  const { start, stop } = headOf(target);
  const [first, second] = scores.slice(start, stop).sort((a, b) => b - a);
  return first - second;
}

/** What no share of the ledger accounts for, as a part of the shares' sizes. */
function residualOf({ ledger }) {
  if (ledger === null) return NaN;
  const [score, ...shares] = ledger;
  const residual = shares.pop();
  const scale = shares.reduce((sum, share) => sum + Math.abs(share), 0);
  return residual === 0 ? 0 : Math.abs(residual) / Math.max(Math.abs(score), scale);
}

/** The largest size of any relevance in an explanation. */
function strongestOf(explanation) {
  explanation.strongest ??= explanation.relevance
    .flat()
    .reduce((strongest, amount) => Math.max(strongest, Math.abs(amount)), 0);
  return explanation.strongest;
}

function lengthOf(sequence) {
  return (sequence.tokens ?? sequence.values).length;
}

/** Text that a search looks through, in lower case. */
function searchedText(sequence) {
  sequence.text ??= [sequence.id ?? "", ...(sequence.tokens ?? [])].join(" ").toLowerCase();
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
  const isAlone = ({ start, stop }) => stop - start === 1;
  const ofHeads = about.heads.filter((head) => !isAlone(head)).map(({ name, start, stop }) => ({
    name: about.heads.length > 1 ? `predicted, ${name ?? about.classes[start]}` : "predicted class",
    takes: ({ target, predicted }) => target === predicted && target >= start && target < stop,
  }));
  const isLabelled = sequences.some(({ label }) => label !== null);
  const ofLabel = { name: "true class", takes: ({ target }, { label }) => target === label };
  const every = together.length === about.classes.length;
  const ofClasses = about.classes
    .map((name, number) => ({ name, number, takes: ({ target }) => target === number }))
    .filter(({ number }) => every || isAlone(headOf(number)));
  return [...ofHeads, ...(isLabelled ? [ofLabel] : []), ...ofClasses];
}
