// How the last start went: a bar for each watcher (it waited, it started, it was ready), and the critical chain by its numbers.

import { html, mark } from './shapes.js';
import { visible } from './ansi.js';
import { clockFine } from './format.js';
import { now, watcherNamed } from './store.js';
import { address } from './overview.js';
import { Loading } from './frame.js';
import { NotAsked, useAsked } from './asked.js';
import { starts as words } from './graphwords.js';

const EVERY = 2; // seconds
const WIDE = 1000; // units of a bar
const LEAST = 4; // units that a moment has
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600];
const MARKS = 6; // of the axis, at most

/** Seconds as they are read: two digits behind the point where that is all there is. */
const spent = (seconds) => (seconds < 10 ? `${Math.max(0, seconds).toFixed(2)} s` : seconds < 120 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / 60)} min`);

/** When those that need it could go on, or it had failed; null while that has not come. */
const endOf = (row) => row.failed ?? row[row.until];

/** Whether it is ready, and all that is missing is that it is found healthy. */
const isUnknown = (row) => row.until === 'healthy' && row.ready !== null;

/** Moments of a row in seconds from where the axis begins; what has not come goes on until now. */
function partsOf(row, from, until) {
  const end = endOf(row);
  return { asked: row.asked - from, begun: (row.begun ?? end ?? until) - from, end: (end ?? until) - from, rest: until - from, over: end !== null && end !== undefined };
}

function Bar({ row, from, until }) {
  const { asked, begun, end, rest, over } = partsOf(row, from, until);
  const at = (seconds) => (WIDE * seconds) / Math.max(0.001, rest);
  const took = Math.max(LEAST, at(end) - at(begun));
  const label = row.failed !== null ? words.failed(row.error) : row.begun === null ? words.waits(row.waits) : words.told(spent(row.waited), over ? spent(end - begun) : null, row.until);
  return html`<svg class="start-bar" role="img" aria-label=${visible(label)} viewBox="0 0 ${WIDE} 16" preserveAspectRatio="none"><title>${visible(label)}</title>
    <rect class="b-wait" x=${at(asked)} y="7" width=${Math.max(0, at(begun) - at(asked))} height="2" />
    ${over && row.failed === null && row.until !== 'ended' && html`<rect class="b-ready" x=${at(end)} y="3" width=${Math.max(0, WIDE - at(end))} height="10" />`}
    ${(row.begun !== null || row.failed !== null) && html`<rect class=${row.failed !== null ? 'b-fail' : row.critical ? 'b-chain' : 'b-start'} x=${Math.min(WIDE - took, at(begun))} y="3" width=${took} height="10" />`}</svg>`;
}

/** A watcher leads to its page; an address outside leads nowhere. */
function After({ name }) {
  if (!name) return html`<span class="dim">${words.nothing}</span>`;
  return watcherNamed(name) ? html`<a class="name" href=${address({ name })}><bdi>${visible(name)}</bdi></a>` : html`<code dir="auto" title=${visible(name)}>${visible(name)}</code>`;
}

function Row({ row, step, of, from, until, last }) {
  const end = endOf(row);
  const late = row.failed !== null ? html`<span class="st is-fail">${mark('fail')}<span class="word">${words.hasFailed}</span></span>` : row.begun === null ? html`<span class="st is-rest">${mark('idle')}<span class="word">${words.isWaiting}</span></span>` : null;
  return html`<tr role="row" data-start=${row.name} class=${step ? 'chained' : ''}>
    <th role="rowheader" scope="row" class="c-name">${step > 0 && html`<span class="start-step" title=${words.step(step, of)} role="img" aria-label=${words.step(step, of)}>${step}</span>`}<a class="name" href=${address(row)}><bdi>${visible(row.name)}</bdi></a></th>
    <td role="cell" class="c-bar"><${Bar} row=${row} from=${last ? row.asked : from} until=${last ? row.asked + until : until} /></td>
    <td role="cell" class="c-took num" data-k=${words.head.took}>${late || (row.took === null ? html`<span class="st is-start">${mark('start')}<span class="word">${isUnknown(row) ? words.notHealthy : words.onTheWay}</span></span>` : spent(row.took))}</td>
    <td role="cell" class="c-at num dim" data-k=${words.head.at}>${end === null || end === undefined ? words.nothing : last ? clockFine(end) : `+${spent(end - from)}`}</td>
    <td role="cell" class="c-after" data-k=${words.head.after}><${After} name=${row.after} /></td></tr>`;
}

/** Whole times above the bars. */
function Axis({ whole }) {
  const step = STEPS.find((seconds) => whole / seconds <= MARKS) || STEPS.at(-1);
  const times = [];
  for (let time = 0; time <= whole * 0.94; time += step) times.push(Number(time.toFixed(1)));
  return html`<svg class="start-axis" aria-hidden="true" height="14" width="100%">${times.map((time) => html`<text x=${`${(100 * time) / whole}%`} y="11" text-anchor=${time ? 'middle' : 'start'}>${time} s</text>`)}</svg>`;
}

function Table({ reply, last }) {
  const rows = [...reply.watchers].sort((a, b) => (a.begun ?? Infinity) - (b.begun ?? Infinity) || a.name.localeCompare(b.name));
  const since = (row) => (last ? row.asked : reply.since);
  // What has come decides: one that waits for hours does not make a start of seconds a dot.
  const known = Math.max(0.01, ...rows.map((row) => (endOf(row) ?? row.begun ?? row.asked) - since(row)));
  const open = rows.filter((row) => (endOf(row) ?? null) === null).map((row) => now() - since(row));
  const whole = Math.max(known, Math.min(Math.max(0, ...open), known * 2)) * 1.04;
  const until = last ? whole : reply.since + whole;
  const { head } = words;
  return html`<section class="sheet cards" aria-labelledby="starts-h"><header><h2 id="starts-h">${last ? words.lastTitle : words.bootTitle}</h2><ul class="key-of"><li><svg viewBox="0 0 20 10" aria-hidden="true"><rect class="b-wait" y="4" width="20" height="2" /></svg>${words.keys.waited}</li><li><svg viewBox="0 0 20 10" aria-hidden="true"><rect class="b-start" width="20" height="10" /></svg>${words.keys.started}</li><li><svg viewBox="0 0 20 10" aria-hidden="true"><rect class="b-ready" width="20" height="10" /></svg>${words.keys.ready}</li>
      ${!last && html`<li><svg viewBox="0 0 20 10" aria-hidden="true"><rect class="b-chain" width="20" height="10" /></svg>${words.keys.chain}</li>`}</ul></header>
    <table class="tab starts-table" role="table"><thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col" class="c-name">${head.name}</th><th role="columnheader" scope="col" class="c-bar"><span class="only-heard">${head.bar}</span><${Axis} whole=${last ? whole : until - reply.since} /></th><th role="columnheader" scope="col" class="c-took num">${head.took}</th><th role="columnheader" scope="col" class="c-at num">${head.at}</th><th role="columnheader" scope="col" class="c-after">${head.after}</th></tr></thead>
      <tbody role="rowgroup">${rows.map((row) => html`<${Row} key=${row.name} row=${row} step=${last ? 0 : reply.chain.indexOf(row.name) + 1} of=${reply.chain.length} from=${reply.since} until=${until} last=${last} />`)}</tbody></table></section>`;
}

/** The start of circusd, or with `last` the last start of each. */
export function Starts({ last }) {
  const { reply, error, ask } = useAsked('timeline', last ? { last: true } : {}, EVERY);
  if (error) return html`<${NotAsked} what=${words.bootTitle} error=${error} ask=${ask} />`;
  if (!reply) return html`<${Loading} />`;
  if (!reply.watchers.length) return html`<section class="sheet"><div class="blank"><h2>${words.none}</h2></div></section>`;
  const chain = reply.chain.map((name) => reply.watchers.find((row) => row.name === name)).filter(Boolean);
  return html`${!last && html`<p class="explain chain-of">${reply.took !== null && words.lead(spent(reply.took), reply.under_way)} ${chain.length > 1 && html`${words.chain} ${chain.map((row, at) => html`${at ? ' → ' : ''}<b><bdi>${visible(row.name)}</bdi></b>${row.took !== null ? ` ${spent(row.took)}` : ''}`)}. ${words.soonerIf}`}</p>`}<${Table} reply=${reply} last=${last} />`;
}
