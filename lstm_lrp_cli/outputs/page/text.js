// Elements, text and numbers. Text is only ever set as text, never as markup.

/** A new element with a class, some text and children. */
function make(name, className = "", text = "", children = []) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

/** A new element of a drawing, with attributes. */
function draw(name, attributes, children = []) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Control characters, and those that change the direction or the lines of what follows.
const UNSEEN = /[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** A token as it is shown: what cannot be seen is written out. */
function shown(token) {
  if (token.trim() === "") return token === "" ? "(empty)" : "␣".repeat(token.length);
  return token.replace(UNSEEN, (c) => `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`);
}

const MINUS = "\u2212";

/** A number of a few digits, with its sign. */
function signed(number) {
  if (number === 0 || number === null) return "0";
  const size = Math.abs(number);
  const text = size >= 1e4 || size < 5e-4 ? size.toExponential(1) : size.toFixed(3);
  return (number < 0 ? MINUS : "+") + text.replace("e-", `e${MINUS}`);
}

/** A number with all the digits that the page has. */
function exact(number) {
  if (number === null) return "not a number";
  return (number > 0 ? "+" : "") + String(number).replace(/-/g, MINUS);
}

function share(amount, score) {
  return score ? `${((100 * amount) / score).toFixed(1).replace("-", MINUS)} %` : "";
}

function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
