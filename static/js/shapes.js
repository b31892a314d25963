// The alphabet of states as pictures: a shape beside a word, pips in a row, the same bent into a ring; and sparklines.

import { h } from '../vendor/preact.js';
import htm from '../vendor/htm.js';
import { HISTORY } from './series.js';
import { states } from './words.js';

export const html = htm.bind(h);

/** The class that colours a shape. */
export const tone = { run: 'is-run', start: 'is-start', stopping: 'is-start', wait: 'is-wait', ill: 'is-wait', fail: 'is-fail', idle: 'is-rest', rest: 'is-rest', lost: 'is-rest', still: 'is-start' };

const pip = { run: 'p-run', start: 'p-start', stopping: 'p-start', wait: 'p-wait', ill: 'p-ill', fail: 'p-fail', idle: 'p-idle', rest: 'p-rest', lost: 'p-rest', still: 'p-still' };

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
  const order = ['run', 'still', 'start', 'stop', 'wait', 'ill', 'fail', 'idle', 'rest', 'lost'];
  return order.filter((kind) => counts[kind]).map((kind) => `${counts[kind]} ${states[kind]}`).join(', ') || 'none';
}

const MANY = 6;

/** One mark for each process; when there are many, one for each state with its number. */
export function pips(kinds) {
  const label = inWords(kinds);
  if (kinds.length <= MANY) {
    return html`<span class="pips" role="img" aria-label=${label}>${kinds.map((kind) => html`<svg class=${tone[kind]}><use href=${`#${pip[kind]}`} /></svg>`)}</span>`;
  }
  const groups = ['fail', 'ill', 'wait', 'still', 'start', 'stopping', 'run', 'idle', 'rest', 'lost'].map((kind) => [kind, kinds.filter((one) => one === kind).length]).filter((group) => group[1]);
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

/** As many of each kind as is its share, but one at least, and where they are among the others. */
function thinned(kinds) {
  if (kinds.length <= FULL) return kinds;
  const groups = new Map();
  kinds.forEach((kind, at) => { if (groups.has(kind)) groups.get(kind).push(at); else groups.set(kind, [at]); });
  const list = [];
  for (const [kind, places] of groups) {
    const share = Math.max(1, Math.round((places.length * FULL) / kinds.length));
    for (let i = 0; i < share; i += 1) list.push([kind, places[Math.floor(((i + 0.5) * places.length) / share)]]);
  }
  return list.sort((a, b) => a[1] - b[1]).map(([kind]) => kind);
}

function segment(kind, from, to) {
  const middle = (from + to) / 2;
  if (kind === 'still') return html`<path class="is-start" stroke-dasharray="2 2.4" d=${arc(23, from, to)} />`;
  if (kind === 'run') return html`<path class="is-run" d=${arc(23, from, to)} />`;
  if (kind === 'start' || kind === 'stopping') {
    return html`<path class="is-start" d=${arc(23, from, middle)} /><path class="is-rest" d=${hollow(middle, to)} />`;
  }
  if (kind === 'wait' || kind === 'ill' || kind === 'fail') {
    const [x, y] = point(23, middle).split(' ').map(Number);
    const late = to - from > 0.5 && html`<path class="is-late" d=${arc(23, from, to)} />`;
    const figure = kind !== 'fail'
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
const STEP = 5; // seconds for one point

const drawn = new WeakMap(); // by series: what was drawn of it last, and at which of its seconds

/**
 * A sparkline of the last five minutes: the right edge is now, a dead process is a gap, each has its own scale. The same
 * seconds always make one point, so that the line moves as a whole and does not change its shape; a second in which
 * nothing was told costs nothing.
 */
export function spark(series) {
  const known = drawn.get(series);
  if (known && known.next === series.next) return known.picture;
  const picture = sparkOf(series);
  drawn.set(series, { next: series.next, picture });
  return picture;
}

function sparkOf(series) {
  const points = []; // x and mean of each point, oldest first
  let top = 1;
  for (let from = Math.ceil(series.first / STEP) * STEP; from < series.next; from += STEP) {
    const end = Math.min(from + STEP, series.next);
    let sum = 0;
    let count = 0;
    // The newest point is of the last seconds too, however few it has of its own: one second does not change the scale.
    for (let second = Math.max(end - STEP, series.first); second < end; second += 1) {
      const value = series.at(second);
      if (!Number.isNaN(value)) { sum += value; count += 1; }
    }
    const mean = count ? sum / count : NaN;
    if (mean > top) top = mean;
    points.push([WIDTH - ((series.next - end) * WIDTH) / (HISTORY - 1), mean]);
  }
  let line = '';
  let area = '';
  let open = false;
  let last = 0;
  const close = () => { if (open) area += `L${last} ${HEIGHT}z`; open = false; };
  for (const [x, mean] of points) {
    if (Number.isNaN(mean)) { close(); continue; }
    last = x.toFixed(1);
    const y = (HEIGHT - 1 - (mean / top) * (HEIGHT - 4)).toFixed(1);
    // A line of no length is a dot, where one point stands alone.
    line += open ? `L${last} ${y}` : `M${last} ${y}h0`;
    area += open ? `L${last} ${y}` : `M${last} ${HEIGHT}L${last} ${y}`;
    open = true;
  }
  close();
  return html`<svg class="spark" viewBox="0 0 84 22" preserveAspectRatio="none" aria-hidden="true"><path class="a" d=${area} /><path class="l" d=${line} /></svg>`;
}

/** A value with its unit, or a dash. */
export function amount(pair) {
  return pair ? html`<span>${pair[0]}<span class="unit">${pair[1]}</span></span>` : html`<span class="dim">–</span>`;
}
