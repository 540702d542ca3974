// The page: reads the data, and answers to what is done with it.

const list = field("list");
const note = field("note");
const spoken = field("spoken");
let state = null;

const rows = new RowList(list, (view, place, total) => rowView(view, state, place, total));

function legendView() {
  const words = make("span", "legend-word", "against");
  const scale = make("span", "legend-scale");
  for (const strength of [-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1]) {
    const cell = make("span", "token");
    tint(cell, strength);
    scale.append(cell);
  }
  const legend = [words, scale, make("span", "legend-word", "for the explained score")];
  if (about.missing) legend.push(make("span", "token missing", about.missing));
  return legend;
}

function legendNote() {
  const unit = about.inputs ? "token or cell" : about.series ? "cell" : "token";
  const whole = about.series ? "series" : "sentence";
  const where = state.together ? "of all that are shown" : `of its ${whole}`;
  return `tint and bar relative to the strongest ${unit} ${where}`;
}

function showNote(lines, beside) {
  note.replaceChildren(...lines.filter(([text]) => text).map(([text, name]) => make("div", name, text)));
  note.hidden = false;
  const box = beside.getBoundingClientRect();
  const left = Math.min(box.left, innerWidth - note.offsetWidth - 12);
  const below = box.bottom + 8;
  const above = box.top - note.offsetHeight - 8;
  note.style.left = `${Math.max(left, 8)}px`;
  note.style.top = `${below + note.offsetHeight > innerHeight && above > 0 ? above : below}px`;
}

function hideNote() {
  note.hidden = true;
}

/** The view that an element is in: that of its input, where it is in one of several. */
function viewAt(element) {
  const view = rows.viewOf(element.closest(".row"));
  const box = element.closest(".input");
  return box === null ? view : partsOf(view)[box.dataset.input];
}

function showToken(cell) {
  const place = [...cell.parentElement.children].indexOf(cell);
  showNote(tokenNote(viewAt(cell), place), cell);
}

function showInSeries(element, place, aloud) {
  const view = viewAt(element);
  const lines = seriesNote(view, place);
  showNote(lines, showCursor(element, view, place));
  if (aloud) spoken.textContent = lines.map(([text]) => text).join(", ");
}

function leaveSeries(element) {
  element.querySelector(".cursor").hidden = true;
  hideNote();
}

function answerInList() {
  const cellOf = (event) => event.target.closest(".tokens .token");
  const seriesOf = (event) => event.target.closest(".series");
  list.addEventListener("pointerover", (event) => {
    const cell = cellOf(event);
    if (cell) showToken(cell);
  });
  list.addEventListener("pointerout", (event) => {
    if (cellOf(event)) hideNote();
  });
  list.addEventListener("pointermove", (event) => {
    const series = seriesOf(event);
    if (!series) return;
    const place = placeInSeries(event, series, viewAt(series));
    if (place) showInSeries(series, place, false);
    else leaveSeries(series);
  });
  list.addEventListener("pointerout", (event) => {
    const series = seriesOf(event);
    if (series && !series.contains(event.relatedTarget)) leaveSeries(series);
  });
  list.addEventListener("focusin", (event) => {
    const cell = cellOf(event);
    if (cell) showToken(cell);
  });
  list.addEventListener("focusout", (event) => {
    if (cellOf(event)) hideNote();
    else if (event.target.matches(".series")) leaveSeries(event.target);
  });
  list.addEventListener("keydown", (event) => {
    const cell = cellOf(event);
    if (event.key === "Escape") hideNote();
    if (cell) moveInTokens(event, cell);
    else if (event.target.matches(".series")) moveInSeries(event);
  });
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    const view = row && rows.viewOf(row);
    if (event.target.matches(".table-toggle")) {
      view.sequence.open = !view.sequence.open;
      refill(event.target, view, ".table-toggle");
    } else if (event.target.matches(".more-channels")) {
      viewAt(event.target).sequence.allChannels = true;
      refill(event.target, view, ".series");
    }
  });
  list.addEventListener("input", (event) => {
    if (!event.target.matches(".step-control input")) return;
    const view = viewAt(event.target);
    view.sequence.step = stepsOf(view.sequence)[event.target.value];
    const changed = viewOf(view.sequence, chosenOf(view.sequence, state));
    Object.assign(view, changed, { strongest: state.together ? view.strongest : changed.ownStrongest });
    refill(event.target, view, ".step-control input");
  });
}

/** Write a row anew, and keep the focus at what was used. */
function refill(element, view, used) {
  const row = element.closest(".row");
  fillRow(row, view, state);
  row.querySelector(used)?.focus();
}

const placesInSeries = new WeakMap();

function moveInSeries(event) {
  const element = event.target;
  const view = viewAt(element);
  const before = placesInSeries.get(element);
  const place = before ? movedInSeries(event.key, view, before) : { step: 0, feature: 0 };
  if (place === null || !event.key.match(/^(Arrow|Home|End)/)) return;
  event.preventDefault();
  placesInSeries.set(element, place);
  showInSeries(element, place, true);
}

function answerToControls(refresh) {
  const controls = field("controls");
  let waiting = null;
  controls.addEventListener("submit", (event) => event.preventDefault());
  field("query").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(refresh, 120);
  });
  controls.addEventListener("change", (event) => {
    if (event.target.id === "query") return;
    if (event.target.id === "sort") {
      field("order").value = SORTS[event.target.value].descending ? "descending" : "";
    }
    refresh();
  });
  field("theme").addEventListener("change", (event) => {
    document.documentElement.dataset.theme = event.target.value;
  });
}

function answerToPrinting() {
  const opened = [];
  addEventListener("beforeprint", () => {
    const printed = rows.fillForPrint();
    const some = printed < rows.views.length;
    field("print-note").textContent = some
      ? `The first ${counted(printed, "sequence")} of ${counted(rows.views.length, "sequence")}.`
      : "";
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      opened.push(details);
    }
  });
  addEventListener("afterprint", () => {
    for (const details of opened.splice(0)) details.open = false;
  });
}

async function start() {
  const count = field("count");
  const sequences = await readSequences((number) => {
    count.textContent = `Reading… ${counted(number, "sequence")}`;
  });
  const targets = fillControls(sequences);
  const refresh = () => {
    state = readControls(targets);
    const views = foundViews(sequences, state);
    hideNote();
    rows.show(views);
    count.textContent =
      views.length === sequences.length
        ? counted(views.length, "sequence")
        : `${views.length.toLocaleString("en")} of ${counted(sequences.length, "sequence")}`;
    field("legend").replaceChildren(...legendView(), make("span", "dim legend-note", legendNote()));
  };
  answerInList();
  answerToControls(refresh);
  answerToPrinting();
  refresh();
  document.documentElement.dataset.ready = "";
}

await start();
