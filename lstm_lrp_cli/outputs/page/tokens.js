// Sentences: tokens with their relevance as tint and as a bar, below for and above against.

// What is weaker than this, compared with the strongest, has no tint.
const FAINT = 0.04;

/** Give an element the look of a relevance, from -1 to 1. */
function tint(element, strength) {
  const size = Math.min(Math.abs(strength), 1);
  if (size < FAINT) return;
  element.classList.add(strength > 0 ? "for" : "against");
  element.style.setProperty("--size", size.toFixed(3));
}

/** A sentence, in which arrow keys move from token to token. */
function tokensView(view, words) {
  const { sequence, explanation, strongest } = view;
  const element = make("div", "tokens");
  if (sequence.tokens.length === 0) {
    element.append(make("span", "dim", "no tokens"));
    return element;
  }
  element.setAttribute("role", "listbox");
  element.setAttribute("aria-orientation", "horizontal");
  element.setAttribute("aria-label", `Tokens of sequence ${sequence.number} with their relevance`);
  sequence.tokens.forEach((token, place) => {
    const amount = explanation.relevance[place];
    const cell = make("span", "token", shown(token));
    cell.setAttribute("role", "option");
    const missing = isMissing(explanation, place);
    const told = missing ? whyMissing(sequence, place) : signed(amount);
    cell.setAttribute("aria-label", `${shown(token)} ${told}`);
    cell.classList.toggle("missing", missing);
    cell.tabIndex = place === 0 ? 0 : -1;
    tint(cell, strongest ? amount / strongest : 0);
    const lower = token.toLowerCase();
    if (words.some((word) => lower.includes(word))) cell.classList.add("hit");
    element.append(cell, " ");
  });
  return element;
}

/** What is told of a token under the pointer or the focus. */
function tokenNote({ sequence, explanation }, place) {
  const amount = explanation.relevance[place];
  const missing = isMissing(explanation, place);
  const part = missing ? "" : share(amount, scoreOf(explanation));
  return [
    [shown(sequence.tokens[place]), "note-title"],
    [missing ? whyMissing(sequence, place) : `relevance ${exact(amount)}`, ""],
    [part && `${part} of the score`, ""],
    [stepName(sequence, place, "position"), "dim"],
  ];
}

function moveInTokens(event, cell) {
  const cells = [...cell.parentElement.children];
  const place = cells.indexOf(cell);
  const next = {
    ArrowRight: place + 1,
    ArrowLeft: place - 1,
    Home: 0,
    End: cells.length - 1,
  }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  const target = cells[Math.min(Math.max(next, 0), cells.length - 1)];
  cell.tabIndex = -1;
  target.tabIndex = 0;
  target.focus();
}

/** The same as a table. */
function tokensTable({ sequence, explanation }) {
  const rows = sequence.tokens.map((token, place) => {
    const amount = explanation.relevance[place];
    const cells = isMissing(explanation, place)
      ? [whyMissing(sequence, place), ""]
      : [exact(amount), share(amount, scoreOf(explanation))];
    const date = sequence.dates ? [shown(sequence.dates[place])] : [];
    return [place, shown(token), ...cells, ...date];
  });
  const date = sequence.dates ? ["date"] : [];
  return tableView(["position", "token", "relevance", "of the score", ...date], rows, 1);
}

/** A table whose cells from some column on are numbers. */
function tableView(heads, rows, heading = 0) {
  const head = make("tr");
  for (const name of heads) {
    const cell = make("th", "", name);
    cell.scope = "col";
    head.append(cell);
  }
  const body = rows.map((row) =>
    make("tr", "", "", row.map((text, column) => {
      const cell = make(column === heading ? "th" : "td", "", String(text));
      if (column === heading) cell.scope = "row";
      return cell;
    })),
  );
  const table = make("table", "", "", [make("thead", "", "", [head]), make("tbody", "", "", body)]);
  const frame = make("div", "table-frame", "", [table]);
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  return frame;
}
