// One chart of a watcher: uPlot gives scales, axes, the cursor and the choice of a range; what is drawn is ours, because a
// dead process is a gap in the stack and not a zero.

import uPlot from '../vendor/uplot.js';
import { isGap } from './track.js';

const DRAG = 5; // pixels from which on it is no click
const MOST_WIDS = 24; // processes that are told apart; of more only the sum is drawn
const SOURCES = 8;
const AHEAD = 0.05; // share of the range that is kept free for what is to come
const two = (number) => String(number).padStart(2, '0');

/** The colours of the style sheet as a canvas takes them: asked for once for each theme. */
const colours = new Map();
window.circusTheme.onChange(() => colours.clear());

export function colour(name) {
  let found = colours.get(name);
  if (!found) {
    const probe = document.createElement('span');
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    found = getComputedStyle(probe).color;
    probe.remove();
    colours.set(name, found);
  }
  return found;
}

export const sourceOf = (wid) => ((wid - 1) % SOURCES + SOURCES) % SOURCES + 1;

/** The least round number that is not below the value, for the top of a scale. */
function roundUp(value, base) {
  if (!(value > 0)) return base;
  const power = 10 ** Math.floor(Math.log10(value / base));
  const parts = value / base / power;
  return (parts <= 1 ? 1 : parts <= 2 ? 2 : parts <= 3 ? 3 : parts <= 5 ? 5 : 10) * power * base;
}

function topOf(kind, most) {
  if (kind === 'cpu') return Math.max(roundUp(most * 1.05, 1), 2);
  if (kind === 'rss') {
    // Round in the unit that the axis is written in.
    let unit = 1024;
    while (most / unit >= 1000) unit *= 1024;
    return roundUp(Math.max(most * 1.05, 1024), unit);
  }
  return Math.max(2, Math.ceil(most * 1.2));
}

/** The steps of restarts from the beginning of what is shown on. */
function counted(points) {
  let sum = 0;
  return points.map((point, i) => {
    if (i && point.restarts !== null && points[i - 1].restarts !== null) sum += Math.max(0, point.restarts - points[i - 1].restarts);
    return sum;
  });
}

/**
 * `view` is shared by the charts of a page: range() in seconds, chosen(from, to), zoom(factor, at), reset(), go(time),
 * moved(index or null). `format` makes text of a value of the axis.
 */
export class Chart {
  constructor(host, { kind, track, view, format, height }) {
    this.host = host;
    this.kind = kind;
    this.track = track;
    this.view = view;
    this.format = format;
    this.height = height;
    this.points = [];
    this.made = new uPlot(this.options(), [[], []], host);
    this.made.over.addEventListener('mousedown', () => { view.owner = this; });
    this.made.over.addEventListener('click', () => { const at = this.at(); if (at !== null) view.go(at); });
    this.made.over.addEventListener('wheel', (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      view.zoom(event.deltaY > 0 ? 1.4 : 1 / 1.4, this.at());
    }, { passive: false });
    this.byTouch();
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(host);
    this.resize();
  }

  /** A finger or pen that goes sideways chooses a range, as a mouse does; up and down it scrolls the page: see the style sheet. */
  byTouch() {
    const { over } = this.made;
    let from = null;
    const place = (event) => Math.max(0, Math.min(over.clientWidth, event.clientX - over.getBoundingClientRect().left));
    const select = (to) => {
      const box = { left: Math.min(from, to), top: 0, width: Math.abs(to - from), height: over.clientHeight };
      for (const plot of this.view.plots()) plot.made.setSelect(box, false);
    };
    over.addEventListener('pointerdown', (event) => {
      if (event.pointerType === 'mouse' || !event.isPrimary) return;
      from = place(event);
      over.setPointerCapture(event.pointerId);
    });
    over.addEventListener('pointermove', (event) => {
      if (from === null || event.pointerType === 'mouse' || !event.isPrimary) return;
      const to = place(event);
      this.made.setCursor({ left: to, top: 1 });
      if (Math.abs(to - from) > DRAG) select(to);
    });
    const end = (event, isMeant) => {
      if (from === null || event.pointerType === 'mouse' || !event.isPrimary) return;
      const to = place(event);
      if (isMeant && Math.abs(to - from) > DRAG) {
        select(to);
        this.view.owner = this;
        this.selected(this.made);
      } else select(from);
      from = null;
    };
    over.addEventListener('pointerup', (event) => end(event, true));
    over.addEventListener('pointercancel', (event) => end(event, false));
  }

  destroy() {
    this.watch.disconnect();
    this.made.destroy();
  }

  resize() {
    const width = Math.max(120, Math.floor(this.host.clientWidth));
    if (width !== this.made.width || this.height !== this.made.height) this.made.setSize({ width, height: this.height });
  }

  options() {
    const axis = { stroke: () => colour('ink-3'), font: '11px system-ui, sans-serif', ticks: { show: false } };
    return {
      width: 300, height: this.height, pxAlign: 1, padding: [6, 2, 0, 0],
      legend: { show: false },
      cursor: {
        y: false, points: { show: false }, drag: { x: true, y: false, setScale: false, dist: DRAG },
        sync: { key: this.view.key, setSeries: false },
        bind: { dblclick: () => () => { this.view.reset(); return null; } },
      },
      scales: { x: { time: true, auto: false, range: () => this.range() }, y: { auto: false, range: () => [0, this.top || 1] } },
      axes: [
        { ...axis, size: 20, gap: 3, space: 62, grid: { show: false }, values: (u, splits, index, space, step) => splits.map((t) => (this.isRoom(u, t) ? label(t, step) : null)) },
        { ...axis, size: 56, gap: 6, space: this.height > 70 ? 24 : 18, grid: { stroke: () => colour('rule'), width: 1 }, splits: () => this.splits(), values: (u, splits) => splits.map((value) => this.format(value)) },
      ],
      series: [{}, { scale: 'y', paths: () => null, points: { show: false } }],
      hooks: {
        draw: [(u) => this.draw(u)],
        setSelect: [(u) => this.selected(u)],
        setCursor: [(u) => this.view.moved(this.near(u.cursor.idx, u.cursor.left))],
      },
    };
  }

  range() {
    const [from, to] = this.view.range();
    return [from, this.view.isLive ? to + (to - from) * AHEAD : to];
  }

  splits() {
    const top = this.top || 1;
    // Few lines: the size is said by numbers beside the chart.
    if (this.kind === 'cpu' || this.kind === 'rss') return [0, top / 2, top];
    return [0, top];
  }

  /** The time under the cursor, or null. */
  at() {
    const { left } = this.made.cursor;
    return left >= 0 ? this.made.posToVal(left, 'x') : null;
  }

  /** The index, where its point is of about that time; null where nothing is known of it. */
  near(index, left) {
    const point = left >= 0 ? this.points[index] : null;
    if (!point) return null;
    const apart = point.t - this.made.posToVal(left, 'x');
    return apart > -1.5 * point.step - 1 && apart < 1.5 * point.step + 1 ? index : null;
  }

  /** Whether a label of the time has room before the edge. */
  isRoom(u, t) {
    return u.valToPos(t, 'x') < u.bbox.width / devicePixelRatio - 18;
  }

  selected(u) {
    if (!(u.select.width > 0) || this.view.owner !== this) return;
    const from = u.posToVal(u.select.left, 'x');
    const to = u.posToVal(u.select.left + u.select.width, 'x');
    this.view.owner = null;
    for (const plot of this.view.plots()) plot.made.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.view.chosen(from, to);
  }

  /** Draws what is known now. */
  update() {
    const [from, to] = this.range();
    this.points = this.track.slice(from, to);
    const { points } = this;
    this.counts = this.kind === 'restarts' ? counted(points) : null;
    let most = 0;
    points.forEach((point, i) => { const value = this.value(point, i); if (value > most) most = value; });
    this.top = topOf(this.kind, most);
    this.made.setData([points.map((point) => point.t), points.map((point, i) => this.value(point, i))], false);
    this.made.setScale('x', { min: from, max: to });
    this.made.setScale('y', { min: 0, max: this.top });
  }

  value(point, index) {
    if (this.counts) return this.counts[index];
    const value = this.kind === 'count' ? point.count : point[this.kind];
    return value === undefined || Number.isNaN(value) ? null : value;
  }

  draw(u) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top - 2, width, height + 4);
    ctx.clip();
    ctx.lineJoin = 'round';
    if (this.kind === 'cpu' || this.kind === 'rss') this.drawStack(u);
    else this.drawSteps(u);
    this.drawEvents(u);
    if (this.view.isLive) this.drawAhead(u);
    ctx.restore();
  }

  /** The sum as an area where only it is known, and process upon process where they were seen. */
  drawStack(u) {
    const { points } = this;
    const index = this.kind === 'cpu' ? 0 : 1;
    const wids = [...new Set(points.flatMap((point) => (point.wids ? Object.keys(point.wids) : [])))].map(Number).sort((a, b) => a - b);
    const apart = wids.length <= MOST_WIDS;
    // Up to the first point that is told apart, and from the last one on.
    const isApart = (point) => apart && (!point || point.wids);
    this.area(u, points.map((point, i) => (isApart(points[i - 1]) && isApart(point) && isApart(points[i + 1]) ? null : this.value(point, i))), null, colour('ink-3'), 0.16);
    if (!apart) return;
    let base = points.map((point) => (point.wids ? 0 : null));
    for (const wid of wids) {
      const upper = points.map((point, i) => (point.wids?.[wid] ? base[i] + point.wids[wid][index] : null));
      this.area(u, upper, base, colour(`src-${sourceOf(wid)}`), 0.3);
      base = base.map((value, i) => upper[i] ?? value);
    }
  }

  /** One area with its line between two rows of values; where the upper one is null, and where nothing is known, is a gap. */
  area(u, upper, lower, stroke, alpha) {
    const { points } = this;
    const { ctx } = u;
    const x = (i) => u.valToPos(points[i].t, 'x', true);
    const y = (value) => u.valToPos(value, 'y', true);
    const ratio = devicePixelRatio;
    let from = 0;
    while (from < points.length) {
      if (upper[from] === null) { from += 1; continue; }
      let to = from;
      while (to + 1 < points.length && upper[to + 1] !== null && !isGap(points[to], points[to + 1])) to += 1;
      // The first one stands for the time before it that it is the mean of.
      const ahead = u.valToPos(points[from].t - points[from].step, 'x', true);
      ctx.beginPath();
      ctx.moveTo(ahead, y(upper[from]));
      for (let i = from; i <= to; i += 1) ctx.lineTo(x(i), y(upper[i]));
      ctx.strokeStyle = stroke;
      ctx.lineWidth = 1.25 * ratio;
      ctx.stroke();
      for (let i = to; i >= from; i -= 1) ctx.lineTo(x(i), y(lower ? lower[i] : 0));
      ctx.lineTo(ahead, y(lower ? lower[from] : 0));
      ctx.closePath();
      ctx.globalAlpha = alpha;
      ctx.fillStyle = stroke;
      ctx.fill();
      ctx.globalAlpha = 1;
      from = to + 1;
    }
  }

  /** Whole numbers, which hold until the next point. */
  drawSteps(u) {
    const { points } = this;
    const { ctx } = u;
    const stroke = colour(this.kind === 'restarts' ? 'wait' : 'run');
    const ratio = devicePixelRatio;
    const floor = u.valToPos(0, 'y', true);
    const values = points.map((point, i) => this.value(point, i));
    let from = 0;
    while (from < points.length) {
      if (values[from] === null) { from += 1; continue; }
      let to = from;
      while (to + 1 < points.length && values[to + 1] !== null && !isGap(points[to], points[to + 1])) to += 1;
      const line = new Path2D();
      const first = u.valToPos(points[from].t - points[from].step, 'x', true);
      let height = u.valToPos(values[from], 'y', true);
      line.moveTo(first, height);
      let end = first;
      for (let i = from; i <= to; i += 1) {
        end = u.valToPos(points[i].t, 'x', true);
        const next = u.valToPos(values[i], 'y', true);
        if (next !== height) { line.lineTo(end, height); line.lineTo(end, next); height = next; }
        else line.lineTo(end, height);
      }
      ctx.strokeStyle = stroke;
      ctx.lineWidth = 1.25 * ratio;
      ctx.stroke(line);
      line.lineTo(end, floor);
      line.lineTo(first, floor);
      ctx.globalAlpha = 0.14;
      ctx.fillStyle = stroke;
      ctx.fill(line);
      ctx.globalAlpha = 1;
      from = to + 1;
    }
  }

  drawEvents(u) {
    const { ctx } = u;
    const { top, height } = u.bbox;
    const [from, to] = this.range();
    ctx.setLineDash([1.5 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.lineWidth = devicePixelRatio;
    for (const event of this.track.within(from, to)) {
      const x = Math.round(u.valToPos(event.t, 'x', true)) + 0.5;
      ctx.strokeStyle = colour(event.kind === 'lost' ? 'plum' : event.kind);
      ctx.globalAlpha = 0.7;
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, top + height);
      ctx.stroke();
    }
    ctx.globalAlpha = 1;
    ctx.setLineDash([]);
  }

  /** Now, and behind it what has not been yet. */
  drawAhead(u) {
    const { ctx } = u;
    const { left, top, width, height } = u.bbox;
    const now = u.valToPos(this.view.range()[1], 'x', true);
    ctx.strokeStyle = colour('rule-2');
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(now, top);
    ctx.lineTo(now, top + height);
    ctx.stroke();
    ctx.beginPath();
    ctx.rect(now, top, left + width - now, height);
    ctx.clip();
    ctx.strokeStyle = colour('rule');
    ctx.beginPath();
    const step = 6 * devicePixelRatio;
    for (let x = now - height; x < left + width; x += step) { ctx.moveTo(x, top + height); ctx.lineTo(x + height, top); }
    ctx.stroke();
  }

  /** Where a time is, in pixels from the left edge of the host. */
  placeOf(time) {
    return this.made.valToPos(time, 'x') + this.made.bbox.left / devicePixelRatio;
  }

  get edges() {
    const from = this.made.bbox.left / devicePixelRatio;
    return [from, from + this.made.bbox.width / devicePixelRatio];
  }

  /** Puts the cursor of all charts on a point of this one. */
  point(index) {
    if (!this.points[index]) return;
    this.made.setCursor({ left: this.made.valToPos(this.points[index].t, 'x'), top: 1 });
  }
}

function label(t, step) {
  const at = new Date(t * 1000);
  return `${two(at.getHours())}:${two(at.getMinutes())}${step < 60 ? `:${two(at.getSeconds())}` : ''}`;
}
