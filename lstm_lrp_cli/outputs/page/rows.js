// One sequence: what was predicted, its heat map, its ledger, and a table on demand.

const MANY_SCORES = 5;

/** The element of a view; `place` of `total` says where it stands among all that are found. */
function rowView(view, state, place, total) {
  const { sequence } = view;
  const row = make("div", "row");
  row.setAttribute("role", "listitem");
  row.setAttribute("aria-posinset", place + 1);
  row.setAttribute("aria-setsize", total);
  fillRow(row, view, state);
  row.classList.toggle("is-wrong", sequence.right === false);
  return row;
}

/** Write a row, or write it anew where another explanation of it is asked for. */
function fillRow(row, view, state) {
  const { sequence, explanation } = view;
  const parts = [headingView(view)];
  if (explanation.target !== null) {
    const steps = stepsOf(sequence);
    if (steps.length > 1) parts.push(stepControl(sequence, explanation, steps));
  }
  parts.push(...inputViews(view, (part) => (part.sequence.tokens ? tokensView(part, state.words) : seriesView(part))));
  const foot = make("div", "row-foot");
  if (explanation.ledger !== null && explanation.target !== null) {
    foot.append(ledgerView(explanation));
  }
  if (lengthOf(sequence)) {
    const toggle = make("button", "link table-toggle", sequence.open ? "Hide table" : "Table");
    toggle.type = "button";
    toggle.setAttribute("aria-expanded", String(Boolean(sequence.open)));
    toggle.setAttribute("aria-label", `Table of sequence ${sequence.number}`);
    foot.append(toggle);
  }
  parts.push(foot);
  if (sequence.open) {
    parts.push(
      ...inputViews(view, (part) => {
        const table = part.sequence.tokens ? tokensTable(part) : seriesTable(part);
        const of = part.name === undefined ? "" : ` of ${shown(part.name)}`;
        table.setAttribute("aria-label", `Table${of} of sequence ${sequence.number}`);
        return table;
      }),
    );
  }
  row.replaceChildren(...parts);
}

/** What is shown of each input, under its name where there are several. */
function inputViews(view, show) {
  return partsOf(view).map((part, input) => {
    const own = show(part);
    if (part.name === undefined) return own;
    const box = make("div", "input", "", [make("p", "input-name", shown(part.name)), own]);
    box.dataset.input = input;
    return box;
  });
}

function headingView({ sequence, explanation }) {
  const heading = make("div", "row-head");
  const title = make("h3", "", "", [make("span", "number", String(sequence.number))]);
  if (sequence.id !== null && sequence.id !== sequence.number) {
    title.append(" ", make("span", "id", shown(String(sequence.id))));
  }
  heading.append(title);
  if (explanation.target === null) {
    heading.append(make("p", "verdict dim", "no score"));
    return heading;
  }
  heading.append(verdictView(sequence, explanation), scoresView(explanation));
  return heading;
}

function verdictView(sequence, explanation) {
  const verdict = make("p", "verdict");
  const { predicted } = explanation;
  const nameOf = (outcome) => shown(about.outcomes[outcome].name);
  if (predicted !== null) verdict.append(make("b", "predicted", nameOf(predicted)));
  if (sequence.right === true) {
    verdict.append(" ", make("span", "right", "✓ right"));
  } else if (sequence.right === false) {
    verdict.append(" ", make("span", "wrong", `✗ wrong, true: ${nameOf(sequence.label)}`));
  }
  return verdict;
}

/** All scores, or the highest of many; the explained one is marked. */
function scoresView(explanation) {
  const { target } = explanation;
  const list = make("p", "scores");
  // Of two classes with one score, the explained one has it.
  const scores = isBinary ? { [target]: scoreOf(explanation) } : explanation.scores;
  const order = Object.keys(scores).map(Number);
  const kept =
    order.length <= MANY_SCORES
      ? order
      : order.sort((a, b) => scores[b] - scores[a]).slice(0, MANY_SCORES - 1);
  if (!kept.includes(target)) kept.push(target);
  for (const number of kept) {
    const explained = number === target;
    const score = make("span", explained ? "score explained" : "score");
    score.append(shown(about.classes[number]), " ", make("b", "", signed(scores[number])));
    if (explained) score.append(make("span", "unseen", " explained"));
    if (explanation.original) {
      score.append(" ", make("span", "original", `original ${exact(explanation.original[number]).replace(/^\+/, "")}`));
    }
    list.append(score, " ");
  }
  if (kept.length < order.length) {
    list.append(make("span", "dim", `and ${order.length - kept.length} more`));
  }
  return list;
}

function stepControl(sequence, explanation, steps) {
  const label = make("label", "step-control", "Score at step ");
  const range = make("input");
  range.type = "range";
  range.min = 0;
  range.max = steps.length - 1;
  range.value = steps.indexOf(explanation.step);
  range.setAttribute("aria-valuetext", `step ${explanation.step}`);
  label.append(range, make("output", "", String(explanation.step)));
  return label;
}
