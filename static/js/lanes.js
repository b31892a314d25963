// Events over time: a lane for each watcher, a mark for what stands close together, the worst of it on top.

import { useLayoutEffect, useRef, useState } from '../vendor/hooks.js';
import { clock, stamp } from './format.js';
import { html, tone } from './shapes.js';
import { visible } from './ansi.js';
import { eventShape } from './overview.js';
import { now } from './store.js';
import { events as words } from './words.js';

const MOST = 12; // lanes
const NEAR = 11; // pixels that one mark stands for
const SIZE = 11;
const HEIGHT = 20;
const NEED = ['fail', 'wait', 'stopping', 'start', 'run', 'idle', 'rest', 'lost'];
const STEPS = [10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 24 * 3600];

const isIll = (event) => event.level === 'warning' || event.level === 'error';

/** Marks of one lane: place, the worst shape, how many, the newest of them. */
export function marksOf(list, from, to, width) {
  const cells = new Map();
  for (const event of list) {
    if (event.time < from) continue;
    const cell = Math.min(Math.floor(width / NEAR) - 1, Math.max(0, Math.floor(((event.time - from) / (to - from)) * (width / NEAR))));
    const kind = eventShape(event);
    const known = cells.get(cell);
    if (!known) cells.set(cell, { x: cell * NEAR, kind, count: 1, last: event });
    else {
      known.count += 1;
      if (NEED.indexOf(kind) < NEED.indexOf(known.kind)) known.kind = kind;
      if (event.time > known.last.time) known.last = event;
    }
  }
  return [...cells.values()];
}

function Lane({ name, list, from, to, width, choose }) {
  const shown = list.filter((event) => event.time >= from);
  const label = words.laneLabel(name || words.theDaemon, shown.length, shown.filter(isIll).length);
  return html`<div class="lane"><button type="button" class="lane-name" disabled=${!name} onClick=${() => choose(name)}><bdi>${visible(name || words.theDaemon)}</bdi></button>
    <svg role="img" aria-label=${label} width=${width} height=${HEIGHT} viewBox=${`0 0 ${width} ${HEIGHT}`}><path class="base" d=${`M0 ${HEIGHT / 2}H${width}`} />
      ${marksOf(shown, from, to, width).map((one) => html`<g key=${one.x} class=${tone[one.kind]}><title>${words.markLabel(stamp(one.last.time, to), one.count, one.last.text || one.last.event)}</title>
        <rect class="ground" x=${one.x} y="0" width=${NEAR} height=${HEIGHT} /><use href=${`#s-${one.kind}`} x=${one.x} y=${(HEIGHT - SIZE) / 2} width=${SIZE} height=${SIZE} /></g>`)}</svg></div>`;
}

/** Whole times below the lanes, as many as there is room for. */
function Axis({ from, to, width }) {
  const step = STEPS.find((seconds) => ((to - from) / seconds) * 72 <= width) || STEPS.at(-1);
  const marks = [];
  for (let time = Math.ceil(from / step) * step; time < to; time += step) marks.push([((time - from) / (to - from)) * width, step < 60 ? clock(time) : clock(time).slice(0, 5)]);
  return html`<div class="lane axis" aria-hidden="true"><span class="lane-name"></span><svg width=${width} height="16" viewBox=${`0 0 ${width} 16`}>${marks.filter(([x]) => x > 18 && x < width - 18).map(([x, text]) => html`<path class="tickmark" d=${`M${x} 0v3`} /><text x=${x} y="14">${text}</text>`)}</svg></div>`;
}

export function Lanes({ list, choose }) {
  const box = useRef();
  const [width, setWidth] = useState(0);
  const [chosen, setBack] = useState(null);
  useLayoutEffect(() => {
    const seen = new ResizeObserver(([entry]) => setWidth(Math.max(120, Math.floor(entry.contentRect.width))));
    seen.observe(box.current);
    return () => seen.disconnect();
  }, []);
  const to = now();
  // Until somebody chooses: as far back as there is something to see.
  const back = chosen ?? ((list.at(-1)?.time ?? to) > to - 600 ? 600 : 3600);
  const from = back ? to - back : Math.min(list.at(-1)?.time ?? to, to - 60);
  const lanes = new Map();
  for (const event of list) {
    if (event.time < from) continue;
    const name = event.watcher || '';
    if (lanes.has(name)) lanes.get(name).push(event); else lanes.set(name, [event]);
  }
  const weight = (events) => events.length + 1000 * events.filter(isIll).length;
  const rows = [...lanes].sort((a, b) => weight(b[1]) - weight(a[1]));
  const shown = rows.slice(0, MOST).sort(([a], [b]) => a.localeCompare(b));
  return html`<section class="sheet lanes" aria-labelledby="lanes-h"><header><h2 id="lanes-h">${words.lanes}</h2><span class="grow"></span>
      <div class="seg small" role="group" aria-label=${words.window}>${words.windows.map(([seconds, name]) => html`<button type="button" aria-pressed=${String(back === seconds)} onClick=${() => setBack(seconds)}>${name}</button>`)}</div></header>
    <div class="lane-box"><div class="measure"><span class="lane-name"></span><span ref=${box}></span></div>${width > 0 && html`${shown.map(([name, events]) => html`<${Lane} key=${name} name=${name} list=${events} from=${from} to=${to} width=${width} choose=${choose} />`)}<${Axis} from=${from} to=${to} width=${width} />`}</div>
    ${rows.length > MOST && html`<p class="dim foot">${words.otherLanes(rows.length - MOST)}</p>`}</section>`;
}
