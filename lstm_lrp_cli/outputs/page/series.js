// Numeric series: a line for every channel with relevance shaded behind and as bars below it, and a
// heat map of steps and features. All share one axis and one cursor.

const LEVELS = 10; // of tint
const MANY_CHANNELS = 12;
const LINE = { top: 4, height: 44, bars: 22 };
const CELL = 16; // the height of a row of the heat map

/** Relevance of a feature at a step; of the whole step where no finer is known; null if masked. */
function amountAt(relevance, step, feature) {
  const amount = relevance[step];
  return Array.isArray(amount) ? amount[feature] : amount;
}

function isByFeature({ relevance }) {
  return Array.isArray(relevance[0]);
}

/** How strong that is, from -1 to 1; null if masked. */
function strengthAt({ explanation, strongest }, step, feature) {
  if (isMissing(explanation, step)) return null;
  return strongest ? amountAt(explanation.relevance, step, feature) / strongest : 0;
}

function channelTotal({ relevance }, feature) {
  return relevance.reduce((sum, _, step) => sum + amountAt(relevance, step, feature), 0);
}

/** Tinted cells, in as many paths as there are tints: `rows` of strengths, each of some height. */
function cellPaths(rows, height) {
  const paths = new Map();
  rows.forEach((strengths, row) => {
    strengths.forEach((strength, step) => {
      const level = Math.round(Math.min(Math.abs(strength), 1) * LEVELS);
      if (level === 0 && strength !== null) return;
      const key = strength === null ? "missing 1" : `${strength > 0 ? "for" : "against"} ${level / LEVELS}`;
      paths.set(key, `${paths.get(key) ?? ""}M${step} ${row * height}h1v${height}h-1z`);
    });
  });
  return [...paths].map(([key, d]) => {
    const [sign, opacity] = key.split(" ");
    return draw("path", { class: `cell ${sign}`, d, "fill-opacity": opacity });
  });
}

/** Bars as thick as relevance is strong, in one path a sign; `box` gives one as [y, height]. */
function barPaths(rows, box) {
  const paths = { for: "", against: "" };
  rows.forEach((strengths, row) => {
    strengths.forEach((strength, step) => {
      if (!strength) return;
      const [y, height] = box(row, Math.max(Math.min(strength, 1), -1));
      const d = `M${step + 0.12} ${y.toFixed(2)}h.76v${height.toFixed(2)}h-.76z`;
      paths[strength > 0 ? "for" : "against"] += d;
    });
  });
  return Object.entries(paths).map(([sign, d]) => draw("path", { class: `bar ${sign}`, d }));
}

function plot(className, steps, height, children) {
  const box = { viewBox: `0 0 ${steps} ${height}`, preserveAspectRatio: "none", height };
  return draw("svg", { class: className, "aria-hidden": "true", ...box }, children);
}

/** One channel: its values as a line. */
function channelPlot(view, feature) {
  const { sequence } = view;
  const values = sequence.values.map((row) => row[feature]);
  const known = values.filter((value) => value !== null);
  const low = Math.min(...known);
  const high = Math.max(...known);
  let d = "";
  let pen = "M";
  values.forEach((value, step) => {
    if (value === null) {
      pen = "M";
      return;
    }
    const part = high > low ? (value - low) / (high - low) : 0.5;
    d += `${pen}${step + 0.5} ${(LINE.top + (1 - part) * (LINE.height - 2 * LINE.top)).toFixed(2)}`;
    pen = "L";
  });
  const strengths = values.map((_, step) => strengthAt(view, step, feature));
  const middle = LINE.height + LINE.bars / 2;
  const bars = barPaths([strengths], (_, strength) => {
    const size = (Math.abs(strength) * LINE.bars) / 2;
    return [strength > 0 ? middle - size : middle, size];
  });
  return {
    low,
    high,
    svg: plot("channel-plot", values.length, LINE.height + LINE.bars, [
      ...cellPaths([strengths], LINE.height),
      draw("path", { class: "axis", d: `M0 ${middle}h${values.length}` }),
      ...bars,
      draw("path", { class: "line", d }),
    ]),
  };
}

function heatMap(view) {
  const { sequence, explanation } = view;
  const names = isByFeature(explanation) ? sequence.features : ["step"];
  const rows = names.map((_, feature) =>
    sequence.values.map((_, step) => strengthAt(view, step, feature)),
  );
  const box = (row, strength) => {
    const size = Math.abs(strength) * CELL * 0.3;
    return [strength > 0 ? (row + 1) * CELL - size : row * CELL, size];
  };
  const rules = names.map((_, row) => `M0 ${row * CELL}h${sequence.values.length}`).join("");
  const svg = plot("heat-map", sequence.values.length, names.length * CELL, [
    ...cellPaths(rows, CELL),
    ...barPaths(rows, box),
    draw("path", { class: "axis", d: rules }),
  ]);
  const labels = make("div", "heat-labels", "", names.map((name) => make("span", "", shown(name))));
  return [labels, svg];
}

/** What stands below the plots: numbers of steps, or as many of their dates as there is room for. */
function axisView({ values: { length: steps }, dates }) {
  const axis = make("div", dates === undefined ? "step-axis" : "step-axis dates");
  axis.setAttribute("aria-hidden", "true");
  const most = dates === undefined ? 12 : Math.max(innerWidth / 2 / (7 * dates[0].length + 12), 1);
  const found = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((each) => steps / each <= most);
  const apart = found ?? Math.ceil(steps / most);
  for (let step = 0; step < steps; step += apart) {
    // A date begins at its step, and the last one ends with the plots.
    if (dates !== undefined && step > 0 && steps - step < apart) break;
    const tick = make("span", "", dates === undefined ? String(step) : shown(dates[step]));
    tick.style.left = `${(100 * (step + (dates === undefined ? 0.5 : 0))) / steps}%`;
    axis.append(tick);
  }
  return axis;
}

/** The channels that are drawn: all of them, or the strongest of many, in their order. */
function drawnChannels({ sequence, explanation }, all) {
  const channels = sequence.features.map((_, feature) => feature);
  if (all || channels.length <= MANY_CHANNELS) return channels;
  const sizes = channels.map((feature) =>
    explanation.relevance.reduce(
      (sum, _, step) => sum + Math.abs(amountAt(explanation.relevance, step, feature)), 0),
  );
  return channels
    .sort((a, b) => sizes[b] - sizes[a])
    .slice(0, MANY_CHANNELS)
    .sort((a, b) => a - b);
}

/** A series, in which arrow keys move over steps and features. */
function seriesView(view) {
  const { sequence, explanation } = view;
  const element = make("div", "series");
  const steps = sequence.values.length;
  if (steps === 0) {
    element.append(make("span", "dim", "no steps"));
    return element;
  }
  element.tabIndex = 0;
  element.setAttribute("role", "application");
  element.setAttribute("aria-roledescription", "plots");
  const real = realLengthOf(explanation);
  const masked = real < steps ? ` (${steps - real} more ${about.missing})` : "";
  element.setAttribute(
    "aria-label",
    `Sequence ${sequence.number}: ${counted(real, "step")}${masked} of ${counted(sequence.features.length, "feature")}. ` +
      "Arrow keys move over steps and features; a table stands below.",
  );
  const channels = drawnChannels(view, sequence.allChannels);
  for (const feature of channels) {
    const { low, high, svg } = channelPlot(view, feature);
    svg.dataset.feature = feature;
    const label = make("div", "channel-label", "", [make("b", "", shown(sequence.features[feature]))]);
    if (isByFeature(explanation)) {
      label.append(make("span", "", `sum ${signed(channelTotal(explanation, feature))}`));
    }
    label.append(make("span", "dim", `${plain(low)} to ${plain(high)}`));
    element.append(label, svg);
  }
  if (channels.length < sequence.features.length) {
    const more = make("button", "link more-channels", `Show all ${sequence.features.length} channels`);
    more.type = "button";
    element.append(more);
  }
  element.append(...heatMap(view), axisView(sequence));
  const cursor = make("div", "cursor");
  cursor.hidden = true;
  element.append(cursor);
  return element;
}

function plain(number) {
  return Number(number.toPrecision(3)).toString().replace("-", MINUS);
}

/** Where in its plots a pointer is, as a step and a feature; null where it is beside them. */
function placeInSeries(event, element, { sequence, explanation }) {
  const svg = event.target.closest("svg");
  if (svg === null) return null;
  const box = svg.getBoundingClientRect();
  const steps = sequence.values.length;
  const step = Math.floor(((event.clientX - box.left) / box.width) * steps);
  const names = isByFeature(explanation) ? sequence.features.length : 1;
  const row = Math.floor(((event.clientY - box.top) / box.height) * names);
  const feature = svg.dataset.feature === undefined ? row : Number(svg.dataset.feature);
  return {
    step: Math.min(Math.max(step, 0), steps - 1),
    feature: Math.min(Math.max(feature, 0), sequence.features.length - 1),
  };
}

/** Move the cursor to a step; the element that the note stands beside. */
function showCursor(element, { sequence }, { step }) {
  const cursor = element.querySelector(".cursor");
  const plots = element.querySelector("svg").getBoundingClientRect();
  const own = element.getBoundingClientRect();
  const width = plots.width / sequence.values.length;
  cursor.style.left = `${plots.left - own.left + step * width}px`;
  cursor.style.width = `${width}px`;
  cursor.hidden = false;
  return cursor;
}

function seriesNote({ sequence, explanation }, { step, feature }) {
  const amount = amountAt(explanation.relevance, step, feature);
  const what = isByFeature(explanation) ? "relevance" : "relevance of the step";
  return [
    [shown(sequence.features[feature]), "note-title"],
    [isMissing(explanation, step) ? whyMissing(sequence, step) : `${what} ${exact(amount)}`, ""],
    [`value ${exact(sequence.values[step][feature])}`, ""],
    [stepName(sequence, step), "dim"],
  ];
}

/** Where an arrow key leads; null for other keys. */
function movedInSeries(key, { sequence }, { step, feature }) {
  const steps = sequence.values.length;
  const moves = {
    ArrowRight: [step + 1, feature],
    ArrowLeft: [step - 1, feature],
    ArrowDown: [step, feature + 1],
    ArrowUp: [step, feature - 1],
    Home: [0, feature],
    End: [steps - 1, feature],
  };
  if (!(key in moves)) return null;
  const [to, of] = moves[key];
  return {
    step: Math.min(Math.max(to, 0), steps - 1),
    feature: Math.min(Math.max(of, 0), sequence.features.length - 1),
  };
}

function seriesTable({ sequence, explanation }) {
  const byFeature = isByFeature(explanation);
  const names = sequence.features.map(shown);
  const heads = byFeature
    ? names.flatMap((name) => [name, `relevance of ${name}`])
    : [...names, "relevance of the step"];
  const rows = sequence.values.map((values, step) => {
    const amounts = explanation.relevance[step];
    const told = (amount) => (amount === null ? whyMissing(sequence, step) : exact(amount));
    const cells = byFeature
      ? values.flatMap((value, feature) => [exact(value), told(amounts[feature])])
      : [...values.map(exact), told(amounts)];
    return [step, ...(sequence.dates ? [shown(sequence.dates[step])] : []), ...cells];
  });
  return tableView(["step", ...(sequence.dates ? ["date"] : []), ...heads], rows);
}
