// Charts as SVG: one position's life (mark, stop as a staircase, entry, fills), and bars of warnings over time.
// Rules of this file: numbers in, elements out; a title says in words what a chart shows; no text of others as markup.

const NS = "http://www.w3.org/2000/svg";

export function element(name, attributes, ...children) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

// `life`: {points: [[s, mark, stop]], stops: [[s, price]], fills: [{at, price}]}; `entry`: a number or null.
export function lifeChart(life, entry, words, width = 420, height = 170) {
  const svg = element("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img" });
  svg.append(element("title", {}, words));
  const marks = life.points.filter((each) => each[1] !== null);
  const stairs = staircase(life);
  if (marks.length < 2) {
    svg.append(element("text", { class: "wait", x: width / 2, y: height / 2, "text-anchor": "middle" }, "the first prices are on their way"));
    return svg;
  }
  const shown = [...marks.map((each) => each[1]), ...stairs.map((each) => each[1]), ...life.fills.map((each) => each.price)];
  if (entry !== null) shown.push(entry);
  let low = Math.min(...shown);
  let high = Math.max(...shown);
  const air = (high - low) * 0.06 || Math.abs(high) * 0.001 || 1;
  low -= air;
  high += air;
  const begin = Math.min(marks[0][0], ...stairs.map((each) => each[0]), ...life.fills.map((each) => each.at));
  const end = Math.max(marks.at(-1)[0], begin + 1);
  const right = 64;
  const foot = 16;
  const x = (at) => 8 + ((at - begin) / (end - begin)) * (width - right - 12);
  const y = (price) => 6 + ((high - price) / (high - low)) * (height - foot - 12);
  for (const part of [0.1, 0.5, 0.9]) {
    const level = low + (high - low) * part;
    svg.append(element("line", { class: "grid", x1: 2, x2: width - right, y1: y(level), y2: y(level) }));
  }
  if (entry !== null) svg.append(element("line", { class: "entry", x1: 2, x2: width - right, y1: y(entry), y2: y(entry) }));
  svg.append(element("path", { class: "mark", d: line(marks.map((each) => [x(each[0]), y(each[1])])) }));
  if (stairs.length) {
    svg.append(element("path", { class: "stop", d: steps(stairs.map((each) => [x(each[0]), y(each[1])]), x(end)) }));
  }
  for (const fill of life.fills) svg.append(element("circle", { class: "fill", cx: x(Math.min(fill.at, end)), cy: y(fill.price), r: 4 }));
  labels(svg, marks.at(-1)[1], stairs.at(-1)?.[1], y, width - right + 6, height - foot);
  svg.append(element("text", { x: 2, y: height - 3 }, clock(begin)));
  svg.append(element("text", { x: width - right, y: height - 3, "text-anchor": "end" }, clock(end)));
  return svg;
}

// Where the stop stood: the book's own moves, then what was seen since.
function staircase(life) {
  const found = life.stops.map((each) => [each[0], each[1]]);
  let last = found.at(-1) ?? [-Infinity, null];
  for (const [at, , stop] of life.points) {
    if (stop !== null && at > last[0] && stop !== last[1]) {
      last = [at, stop];
      found.push(last);
    }
  }
  return found;
}

const round = (number) => Math.round(number * 10) / 10;
const line = (points) => "M" + points.map(([px, py]) => `${round(px)} ${round(py)}`).join("L");

function steps(points, end) {
  let d = `M${round(points[0][0])} ${round(points[0][1])}`;
  for (const [px, py] of points.slice(1)) d += `H${round(px)}V${round(py)}`;
  return `${d}H${round(end)}`;
}

function labels(svg, mark, stop, y, left, floor) {
  const at = [[y(mark), figure(mark), "last"]];
  if (stop !== undefined) at.push([y(stop), figure(stop), "laststop"]);
  if (at.length === 2 && Math.abs(at[0][0] - at[1][0]) < 13) {
    const upper = at[0][0] <= at[1][0] ? 0 : 1;
    const middle = (at[0][0] + at[1][0]) / 2;
    at[upper][0] = middle - 6.5;
    at[1 - upper][0] = middle + 6.5;
  }
  for (const [py, text, kind] of at) svg.append(element("text", { class: kind, x: left, y: Math.min(Math.max(py + 4, 11), floor) }, text));
}

export function figure(number) {
  return number.toLocaleString("en-US", { maximumSignificantDigits: 6, useGrouping: false });
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

// `buckets`: [{at, warning, error, critical}], oldest first.
export function trendChart(buckets, minutes, words) {
  const width = 1000;
  const height = 150;
  const svg = element("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img" });
  svg.append(element("title", {}, words));
  const kinds = ["warning", "error", "critical"];
  const sums = buckets.map((each) => kinds.reduce((sum, kind) => sum + each[kind], 0));
  const most = Math.max(...sums, 4);
  const wide = (width - 40) / buckets.length;
  const tall = height - 26;
  for (const part of [0, 0.5, 1]) {
    const level = 6 + tall * (1 - part);
    svg.append(element("line", { class: "grid", x1: 34, x2: width, y1: level, y2: level }));
    svg.append(element("text", { x: 28, y: level + 4, "text-anchor": "end" }, Math.round(most * part)));
  }
  buckets.forEach((each, index) => {
    let base = 6 + tall;
    const left = 36 + index * wide;
    for (const kind of kinds) {
      if (!each[kind]) continue;
      const size = Math.max((each[kind] / most) * tall, 2);
      base -= size;
      const bar = element("rect", { class: kind, x: round(left), y: round(base), width: round(wide - 3), height: round(size), rx: 1.5 });
      bar.append(element("title", {}, `${hour(each.at)} to ${hour(Date.parse(each.at) + minutes * 60000)}: ${each[kind]} ${kind}`));
      svg.append(bar);
    }
    if (index % 8 === 0) svg.append(element("text", { x: round(left), y: height - 4 }, hour(each.at)));
  });
  return svg;
}

const hour = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
