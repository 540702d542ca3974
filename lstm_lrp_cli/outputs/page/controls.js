// Search, filters, sorting and switches: what they are set to, and which sequences that leaves.

const SORTS = {
  input: { name: "input order", key: (view) => view.sequence.number, descending: false },
  score: { name: "score", key: (view) => scoreOf(view.explanation), descending: true },
  residual: { name: "residual", key: (view) => residualOf(view.explanation), descending: true },
  margin: { name: "margin", key: (view) => marginOf(view.explanation), descending: false },
  strongest: { name: "strongest", key: (view) => view.ownStrongest, descending: true },
  length: { name: "length", key: lengthOfView, descending: true },
};

function lengthOfView(view) {
  return partsOf(view).reduce((sum, { explanation }) => sum + realLengthOf(explanation), 0);
}

const field = (id) => document.getElementById(id);

/** Fill a choice with options, [value, text] each; it is not shown where there is nothing to choose. */
function fillChoice(id, options) {
  const choice = field(id);
  choice.replaceChildren(
    ...options.map(([value, text]) => {
      const option = make("option", "", text);
      option.value = value;
      return option;
    }),
  );
  choice.closest(".field").hidden = options.length < 2;
}

/** Set up all controls for these sequences; the targets that can be chosen. */
function fillControls(sequences) {
  const targets = targetChoices(sequences);
  const all = sequences.flatMap(({ explanations }) => explanations);
  const classes = about.outcomes.map(({ name }, outcome) => [outcome, shown(name)]);
  const predicts = all.some(({ predicted }) => predicted !== null);
  const labelled = sequences.some(({ label }) => label !== null);
  fillChoice("predicted", predicts ? [["", "any class"], ...classes] : []);
  fillChoice("truth", labelled ? [["", "any class"], ...classes] : []);
  fillChoice("outcome", labelled ? [["", "any"], ["right", "right"], ["wrong", "wrong"]] : []);
  fillChoice("method", about.methods.map((name) => [name, name]));
  fillChoice("target", targets.map(({ name }, place) => [place, shown(name || "-")]));
  const sorts = Object.entries(SORTS).filter(
    ([id]) =>
      (id !== "residual" || all.some(({ ledger }) => ledger !== null)) && (id !== "margin" || predicts),
  );
  fillChoice("sort", sorts.map(([id, { name }]) => [id, name]));
  fillChoice("order", [["", "ascending"], ["descending", "descending"]]);
  fillChoice("scale", [["", about.series ? "each sequence" : "each sentence"], ["page", "all together"]]);
  return targets;
}

/** What the controls are set to. */
function readControls(targets) {
  const query = field("query").value.trim().toLowerCase();
  return {
    query,
    words: query.startsWith("#") ? [] : query.split(/\s+/).filter(Boolean),
    predicted: field("predicted").value,
    truth: field("truth").value,
    outcome: field("outcome").value,
    method: field("method").value,
    target: targets[field("target").value || 0],
    sort: SORTS[field("sort").value],
    descending: field("order").value === "descending",
    together: field("scale").value === "page",
  };
}

function isFound(sequence, { query }) {
  if (query === "") return true;
  if (/^#\d+$/.test(query)) return String(sequence.number) === query.slice(1);
  return searchedText(sequence).includes(query);
}

/** The views that the controls leave, in their order. */
function foundViews(sequences, state) {
  const views = [];
  for (const sequence of sequences) {
    const explanation = chosenOf(sequence, state);
    if (explanation === undefined || !isFound(sequence, state)) continue;
    const { predicted, truth, outcome } = state;
    if (predicted !== "" && String(explanation.predicted) !== predicted) continue;
    if (truth !== "" && String(sequence.label) !== truth) continue;
    if (outcome !== "" && sequence.right !== (outcome === "right")) continue;
    views.push(viewOf(sequence, explanation));
  }
  sortViews(views, state);
  const most = state.together ? views.reduce((most, { ownStrongest }) => Math.max(most, ownStrongest), 0) : 0;
  for (const view of views) view.strongest = most || view.ownStrongest;
  return views;
}

function viewOf(sequence, explanation) {
  return { sequence, explanation, ownStrongest: strongestOf(explanation), strongest: 0 };
}

/** Sort in place; what has no such number comes last, and equals keep the input's order. */
function sortViews(views, { sort, descending }) {
  const keys = new Map(views.map((view) => [view, sort.key(view)]));
  views.sort((a, b) => {
    const [first, second] = [keys.get(a), keys.get(b)];
    if (Number.isNaN(first) || Number.isNaN(second)) {
      return Number(Number.isNaN(first)) - Number(Number.isNaN(second));
    }
    return descending ? second - first : first - second;
  });
}
