// The alphabet of states as pictures: a shape beside a word, pips in a row, the same bent into a ring; and sparklines.

import { h } from '../vendor/preact.js';
import htm from '../vendor/htm.js';
import { states } from './words.js';

export const html = htm.bind(h);

/** The class that colours a shape. */
export const tone = { run: 'is-run', start: 'is-start', stopping: 'is-start', wait: 'is-wait', fail: 'is-fail', rest: 'is-rest', lost: 'is-rest' };

const pip = { run: 'p-run', start: 'p-start', stopping: 'p-start', wait: 'p-wait', fail: 'p-fail', rest: 'p-rest', lost: 'p-rest' };

export function icon(name) {
  return html`<svg class="i" aria-hidden="true"><use href=${`#i-${name}`} /></svg>`;
}

export function mark(kind, extra = '') {
  return html`<svg class=${`shape ${extra}`} aria-hidden="true"><use href=${`#s-${kind}`} /></svg>`;
}

/** A shape with its word. */
export function state(kind, word) {
  return html`<span class=${`st ${tone[kind]}`}>${mark(kind)}<span class="word">${word}</span></span>`;
}

/** "2 running, 1 in backoff", the order of need. */
export function inWords(kinds) {
  const counts = {};
  for (const kind of kinds) {
    const known = kind === 'stopping' ? 'stop' : kind;
    counts[known] = (counts[known] || 0) + 1;
  }
  const order = ['run', 'start', 'stop', 'wait', 'fail', 'rest', 'lost'];
  return order.filter((kind) => counts[kind]).map((kind) => `${counts[kind]} ${states[kind]}`).join(', ') || 'none';
}

const MANY = 6;

/** One mark for each process; when there are many, one for each state with its number. */
export function pips(kinds) {
  const label = inWords(kinds);
  if (kinds.length <= MANY) {
    return html`<span class="pips" role="img" aria-label=${label}>${kinds.map((kind) => html`<svg class=${tone[kind]}><use href=${`#${pip[kind]}`} /></svg>`)}</span>`;
  }
  const groups = ['fail', 'wait', 'start', 'stopping', 'run', 'rest', 'lost'].map((kind) => [kind, kinds.filter((one) => one === kind).length]).filter((group) => group[1]);
  return html`<span class="pips" role="img" aria-label=${label}>${groups.map(([kind, number]) => html`<svg class=${tone[kind]}><use href=${`#${pip[kind]}`} /></svg><small class=${tone[kind]}>${number}</small>`)}</span>`;
}

const point = (radius, angle) => `${(28 + radius * Math.sin(angle)).toFixed(1)} ${(28 - radius * Math.cos(angle)).toFixed(1)}`;

function arc(radius, from, to) {
  return `M${point(radius, from)}A${radius} ${radius} 0 ${to - from > Math.PI ? 1 : 0} 1 ${point(radius, to)}`;
}

function hollow(from, to) {
  const large = to - from > Math.PI ? 1 : 0;
  return `M${point(25, from)}A25 25 0 ${large} 1 ${point(25, to)}L${point(21, to)}A21 21 0 ${large} 0 ${point(21, from)}z`;
}

const FULL = 36; // segments beyond which one stands for several processes

function thinned(kinds) {
  if (kinds.length <= FULL) return kinds;
  const groups = new Map();
  for (const kind of kinds) groups.set(kind, (groups.get(kind) || 0) + 1);
  const list = [];
  for (const [kind, number] of groups) {
    const share = Math.max(1, Math.round((number * FULL) / kinds.length));
    for (let i = 0; i < share; i += 1) list.push(kind);
  }
  return list;
}

function segment(kind, from, to) {
  const middle = (from + to) / 2;
  if (kind === 'run') return html`<path class="is-run" d=${arc(23, from, to)} />`;
  if (kind === 'start' || kind === 'stopping') {
    return html`<path class="is-start" d=${arc(23, from, middle)} /><path class="is-rest" d=${hollow(middle, to)} />`;
  }
  if (kind === 'wait' || kind === 'fail') {
    const [x, y] = point(23, middle).split(' ').map(Number);
    const late = to - from > 0.5 && html`<path class="is-late" d=${arc(23, from, to)} />`;
    const figure = kind === 'wait'
      ? html`<path class="is-wait" d=${`M${x} ${y - 6.5}L${x + 6.5} ${y + 5}H${x - 6.5}z`} />`
      : html`<path class="is-fail" fill-rule="evenodd" d=${`M${x - 5} ${y - 5}h10v10h-10zM${x - 2.4} ${y - 3.4}l2.4 2.4 2.4-2.4 1 1-2.4 2.4 2.4 2.4-1 1-2.4-2.4-2.4 2.4-1-1 2.4-2.4-2.4-2.4z`} />`;
    return html`${late}${figure}`;
  }
  return html`<path class="is-rest" d=${hollow(from, to)} />`;
}

/** The processes bent round; hidden where the same stands beside it in words. */
export function ring(kinds, { label = '' } = {}) {
  const list = thinned(kinds);
  const each = (2 * Math.PI) / Math.max(1, list.length);
  const gap = list.length < 2 ? 0.02 : Math.min(0.09, each * 0.24);
  const aria = label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': 'true' };
  return html`<svg class="ring" viewBox="0 0 56 56" ...${aria}>
    ${list.length ? list.map((kind, i) => segment(kind, i * each + gap / 2, (i + 1) * each - gap / 2)) : segment('rest', 0.01, 2 * Math.PI - 0.01)}
  </svg>`;
}

const WIDTH = 84;
const HEIGHT = 22;
const POINTS = 60;

/** A sparkline of the last five minutes: the right edge is now, a dead process is a gap, each has its own scale. */
export function spark(series, { least = 1, hot = false } = {}) {
  const all = series.list();
  const step = 5; // seconds for one point: 300 seconds in 60 points
  const points = [];
  let top = least;
  // From the right, so that the newest second is always in the newest point.
  for (let end = all.length; end > 0 && points.length < POINTS; end -= step) {
    let sum = 0;
    let known = 0;
    for (let i = Math.max(0, end - step); i < end; i += 1) {
      if (!Number.isNaN(all[i])) { sum += all[i]; known += 1; }
    }
    const value = known ? sum / known : NaN;
    if (value > top) top = value;
    points.push(value);
  }
  let line = '';
  let area = '';
  let open = false;
  let x = 0;
  for (let i = points.length - 1; i >= 0; i -= 1) {
    if (Number.isNaN(points[i])) {
      if (open) area += `L${x.toFixed(1)} ${HEIGHT}z`;
      open = false;
    } else {
      x = WIDTH - (i * WIDTH) / (POINTS - 1);
      const y = (HEIGHT - 1 - (points[i] / top) * (HEIGHT - 4)).toFixed(1);
      if (open) { line += `L${x.toFixed(1)} ${y}`; area += `L${x.toFixed(1)} ${y}`; } else {
        line += `M${x.toFixed(1)} ${y}`;
        area += `M${x.toFixed(1)} ${HEIGHT}L${x.toFixed(1)} ${y}`;
      }
      open = true;
    }
  }
  if (open) area += `L${x.toFixed(1)} ${HEIGHT}z`;
  return html`<svg class=${`spark${hot ? ' hot' : ''}`} viewBox="0 0 84 22" preserveAspectRatio="none" aria-hidden="true"><path class="a" d=${area} /><path class="l" d=${line} /></svg>`;
}

/** A value with its unit, or a dash. */
export function amount(pair) {
  return pair ? html`<span>${pair[0]}<span class="unit">${pair[1]}</span></span>` : html`<span class="dim">–</span>`;
}
