// The ledger: a bar of the score's shares, those against it left of zero, and the same in words.

const BAR = { width: 168, height: 12 };

function shareNames(method) {
  const names = about.shares[about.methods.indexOf(method)];
  return names.map((name) => (about.series && name === "tokens" ? "steps" : name.replaceAll("_", " ")));
}

/** The account of one score, as an element. */
function ledgerView({ method, ledger, doubts = [] }) {
  const [score, ...shares] = ledger;
  const residual = shares.pop();
  const element = make("p", "ledger");
  element.append(ledgerBar(score, shares), make("span", "score-sum", signed(score)), " =");
  shareNames(method).forEach((name, place) => {
    if (Math.abs(shares[place]) < 5e-4 && place > 0) return;
    const part = make("span", "share");
    part.append(make("span", `swatch share-${place}`), `${name} `, make("b", "", signed(shares[place])));
    element.append(" ", part);
  });
  element.append(" ", make("span", "share residual", `residual ${residual ? residual.toExponential(0).replaceAll("-", MINUS) : 0}`));
  for (const doubt of doubts) element.append(" ", make("b", "doubt", doubt));
  return element;
}

function ledgerBar(score, shares) {
  const above = shares.reduce((sum, amount) => sum + Math.max(amount, 0), 0);
  const below = shares.reduce((sum, amount) => sum + Math.max(-amount, 0), 0);
  const scale = BAR.width / (above + below || 1);
  const zero = below * scale;
  const bar = draw("svg", {
    class: "ledger-bar",
    width: BAR.width,
    height: BAR.height,
    viewBox: `0 0 ${BAR.width} ${BAR.height}`,
    "aria-hidden": "true",
  });
  let right = zero;
  let left = zero;
  shares.forEach((amount, place) => {
    const width = Math.abs(amount) * scale;
    if (amount < 0) left -= width;
    bar.append(
      draw("rect", {
        class: `share-${place}`,
        x: amount < 0 ? left : right,
        y: 2,
        width: Math.max(width - 0.75, 0),
        height: BAR.height - 4,
      }),
    );
    if (amount > 0) right += width;
  });
  const mark = Math.min(Math.max(zero + score * scale, 1), BAR.width - 1);
  bar.append(
    draw("line", { class: "zero", x1: zero, x2: zero, y1: 0, y2: BAR.height }),
    draw("line", { class: "sum", x1: mark, x2: mark, y1: 0, y2: BAR.height }),
  );
  return bar;
}
