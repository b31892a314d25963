// Dependencies: who needs whom as a picture in layers, and as a table; how the last start went stands beside it.

import { html, icon, mark, state, tone } from './shapes.js';
import { useEffect, useMemo, useRef, useState } from '../vendor/hooks.js';
import { visible } from './ansi.js';
import { clock, wait } from './format.js';
import { byName, now, store, watcherNamed } from './store.js';
import { address } from './overview.js';
import { watcherState } from './parts.js';
import { Loading } from './frame.js';
import { FormLink, useTitle } from './asked.js';
import { base } from './page.js';
import { EDGE, layered } from './layers.js';
import { Starts } from './startpage.js';
import { words } from './graphwords.js';

const WIDTH = 204;
const HEAD = 46; // pixels of a node above what it needs
const LINE = 17; // of each thing that it needs
const FOOT = 6;
const NAME = 20; // letters that there is room for
const SAID = 24;
const SMALL = 15;
const TURN = 32; // how far before its end a line may bend

/** As much of a text as there is room for; letters of twice the width count twice. */
function short(text, room) {
  let left = room;
  for (const [at, letter] of [...text].entries()) {
    left -= letter > '\u1100' ? 2 : 1;
    if (left < 0) return `${[...text].slice(0, Math.max(1, at - 1)).join('')}…`;
  }
  return text;
}

/** What a watcher needs, as far as the person may see it: {key, name, condition, met, watcher}. */
function needsOf(watcher) {
  return (watcher.needs || []).map((need) => {
    const { name, condition } = need;
    // No watcher can have such a key.
    if (need.outside) return { ...need, key: `\u0000${name}` };
    const other = watcherNamed(name);
    return other && { key: other.name, name: other.name, condition, met: (other.meets || []).includes(condition), watcher: other };
  }).filter(Boolean);
}

/** Those that need or are needed, each with both sides; and those that are neither. */
function entangled() {
  const rows = new Map();
  for (const watcher of byName()) rows.set(watcher.name, { key: watcher.name, name: watcher.name, watcher, needs: needsOf(watcher), users: [] });
  for (const row of [...rows.values()]) {
    for (const need of row.needs) {
      if (need.outside && !rows.has(need.key)) rows.set(need.key, { key: need.key, name: need.name, outside: need, needs: [], users: [] });
      rows.get(need.key).users.push(row.name);
    }
  }
  const all = [...rows.values()];
  return { tied: all.filter((row) => row.needs.length || row.users.length), alone: all.filter((row) => !row.needs.length && !row.users.length) };
}

const howOf = (need) => (need.outside ? words.answering : words.conditions[need.condition]);

/** Shape and words of a watcher, and which it waits for. */
function stateOf(row) {
  if (row.outside) {
    const { met, problem, asked, next, answered } = row.outside;
    // It is not watched any more: that it had answered is all that is known.
    if (met) return { kind: 'run', word: words.answered(clock(answered)) };
    return problem ? { kind: 'wait', word: words.silent(problem, asked, next && wait(Math.max(0, next - now()))) } : { kind: 'rest', word: words.notAsked };
  }
  const found = watcherState(row.watcher);
  const missing = row.watcher.state === 'waiting' ? row.needs.filter((need) => !need.met).map((need) => need.name) : [];
  return missing.length ? { kind: found.kind, word: words.waitsFor(missing) } : found;
}

const heightOf = (row) => HEAD + (row.needs.length ? row.needs.length * LINE + FOOT : 0);
const portOf = (at) => HEAD + at * LINE + LINE / 2 - 3;

/** Places and lines: made anew only when somebody needs something else. */
function usePlan(rows) {
  const shape = JSON.stringify(rows.map((row) => [row.key, row.needs.map((need) => need.key)]));
  return useMemo(() => {
    const edges = rows.flatMap((row) => row.needs.map((need, at) => ({ from: need.key, to: row.key, at: portOf(at) })));
    return { ...layered(rows.map((row) => ({ key: row.key, height: heightOf(row) })), edges, WIDTH), edges };
  }, [shape]);
}

function curve(points) {
  let path = `M${points[0].join(' ')}`;
  for (let i = 1; i < points.length; i += 1) {
    const [x, y] = points[i];
    const [fromX, fromY] = points[i - 1];
    // Through a column it goes straight, between columns it bends.
    if (i % 2 === 0) path += `L${x} ${y}`;
    else path += `C${fromX + TURN} ${fromY} ${x - TURN} ${y} ${x} ${y}`;
  }
  return path;
}

function Need({ need, at, waits }) {
  const kind = need.met ? 'is-run' : waits ? 'is-wait' : 'is-rest';
  return html`<g class=${`need ${kind}`} transform=${`translate(0 ${HEAD + at * LINE - 3})`}><use class=${need.met ? 'tick' : ''} href=${need.met ? '#i-tick' : '#s-idle'} x="11" y=${need.met ? 2 : 3} width=${need.met ? 13 : 11} height=${need.met ? 13 : 11} />
    <svg x="29" y="0" width="98" height=${LINE}><text y="12">${visible(short(need.name, SMALL))}</text></svg><text class="how" x=${WIDTH - 10} y="12" text-anchor="end">${howOf(need)}</text></g>`;
}

function node(row, { x, y }, { tab, dim, look, go }) {
  const { kind, word: said } = stateOf(row);
  const needs = row.needs.map((need) => words.needLabel(visible(need.name), howOf(need), need.met));
  const label = words.nodeLabel(visible(row.name), visible(said), needs);
  // What is no watcher leads nowhere, and is round.
  const [tag, own] = row.outside ? ['g', { role: 'img' }] : ['a', { href: address(row.watcher) }];
  return html`<${tag} key=${row.key} class=${`node ${tone[kind]}${dim ? ' dim' : ''}${row.outside ? ' outside' : ''}`} ...${own} data-node=${row.name} tabindex=${tab} aria-label=${label} transform=${`translate(${x} ${y})`}
      onFocus=${() => look(row.key, true)} onBlur=${() => look(null)} onMouseEnter=${() => look(row.key)} onMouseLeave=${() => look(null)} onKeyDown=${(event) => go(event, row)}>
    <title>${label}</title><rect class="box" width=${WIDTH} height=${heightOf(row)} rx=${row.outside ? HEAD / 2 : 6} /><use href=${`#s-${kind}`} x="10" y="9" width="14" height="14" />
    <svg x="31" y="4" width=${WIDTH - 38} height="20"><text class="called" y="17">${visible(short(row.name, NAME))}</text></svg><svg x="31" y="23" width=${WIDTH - 38} height="18"><text class="said" y="12">${visible(short(said, SAID))}</text></svg>
    ${row.needs.map((need, at) => html`<${Need} need=${need} at=${at} waits=${row.watcher.state === 'waiting'} />`)}<//>`;
}

/** The neighbour that an arrow key leads to: what it needs, what needs it, or what stands above or below. */
function neighbour(key, row, rows, places) {
  const here = places.get(row.key);
  const near = (keys) => keys.sort((a, b) => Math.abs(places.get(a).y - here.y) - Math.abs(places.get(b).y - here.y))[0];
  const column = rows.map((one) => one.key).filter((other) => places.get(other).x === here.x && other !== row.key);
  if (key === 'ArrowLeft') return near(row.needs.map((need) => need.key));
  if (key === 'ArrowRight') return near([...row.users]);
  if (key === 'ArrowUp') return near(column.filter((other) => places.get(other).y < here.y));
  if (key === 'ArrowDown') return near(column.filter((other) => places.get(other).y > here.y));
  return undefined;
}

function Picture({ rows }) {
  const box = useRef();
  const drawn = useRef(new Map()); // by key: what was drawn last, and of what
  const [at, setAt] = useState(null);
  const [looked, setLooked] = useState(null);
  const { width, height, places, ways, edges } = usePlan(rows);
  const byKey = new Map(rows.map((row) => [row.key, row]));
  const first = byKey.has(at) ? at : rows[0].key;
  const chosen = byKey.get(looked);
  const near = chosen && new Set([chosen.key, ...chosen.users, ...chosen.needs.map((need) => need.key)]);
  const look = (key, focused) => { setLooked(key); if (focused) setAt(key); };
  const go = (event, row) => {
    const next = neighbour(event.key, row, rows, places);
    if (!/^Arrow/.test(event.key)) return;
    event.preventDefault();
    if (next) [...box.current.querySelectorAll('[data-node]')].find((one) => one.dataset.node === byKey.get(next).name)?.focus();
  };
  // What has not changed is not drawn again: the page is drawn each second, and there may be hundreds.
  const draw = (row) => {
    const given = { tab: row.key === first ? 0 : -1, dim: Boolean(near && !near.has(row.key)) };
    const place = places.get(row.key);
    const said = stateOf(row);
    const of = JSON.stringify([given, place, said, row.watcher?.state, row.users, row.needs.map((need) => [need.key, need.condition, need.met])]);
    if (drawn.current.get(row.key)?.of !== of) drawn.current.set(row.key, { of, picture: node(row, place, { ...given, look, go: (event) => go(event, row) }) });
    return drawn.current.get(row.key).picture;
  };
  // A tall picture begins with what is needed first.
  useEffect(() => { box.current.scrollTop = Math.min(...[...places.values()].filter(({ x }) => x === EDGE).map(({ y }) => y)) - EDGE; }, [places]);
  const needAt = edges.map((edge) => byKey.get(edge.to).needs.find((need) => need.key === edge.from));
  return html`<section class="sheet drawing" aria-labelledby="drawing-h"><header><h2 id="drawing-h">${words.picture}</h2><p class="legend">${words.legend}</p></header>
    <div class="graph-box" ref=${box}><svg class="graph" role="group" aria-label=${words.pictureLabel(rows.length)} width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`}>
      <g aria-hidden="true">${edges.map((edge, i) => html`<path key=${`${edge.from}\u0000${edge.to}`} class=${`way${needAt[i]?.met ? '' : ' missing'}${chosen ? (edge.from === chosen.key || edge.to === chosen.key ? ' near' : ' dim') : ''}`} d=${curve(ways[i])} />`)}</g>
      ${rows.map(draw)}</svg></div></section>`;
}

function Names({ names }) {
  return names.length ? names.map((name, at) => html`${at ? ', ' : ''}<a class="name" href=${address({ name })}><bdi>${visible(name)}</bdi></a>`) : html`<span class="dim">${words.nothing}</span>`;
}

function NeedsCell({ needs }) {
  if (!needs.length) return html`<span class="dim">${words.nothing}</span>`;
  return html`<ul>${needs.map((need) => html`<li><span class=${need.met ? 'is-run' : 'is-wait'}>${need.met ? icon('tick') : mark('idle')}</span> ${need.outside ? html`<code dir="auto">${visible(need.name)}</code>` : html`<a class="name" href=${address(need)}><bdi>${visible(need.name)}</bdi></a>`}
    <span class="dim">${howOf(need)}, ${need.met ? words.met : words.missing}</span></li>`)}</ul>`;
}

function State({ row }) {
  const { kind, word } = stateOf(row);
  return state(kind, visible(word));
}

function Table({ rows }) {
  const { head } = words;
  return html`<section class="sheet cards" aria-labelledby="table-h"><header><h2 id="table-h">${words.table}</h2></header><table class="tab needs-table" role="table"><thead role="rowgroup"><tr role="row">${Object.entries(head).map(([key, text]) => html`<th role="columnheader" scope="col" class=${`c-${key}`}>${text}</th>`)}</tr></thead>
    <tbody role="rowgroup">${rows.map((row) => html`<tr role="row" key=${row.key} data-tied=${row.name}><th role="rowheader" scope="row" class="c-name">${row.outside ? html`<code dir="auto">${visible(row.name)}</code>` : html`<a class="name" href=${address(row.watcher)}><bdi>${visible(row.name)}</bdi></a>`}</th>
      <td role="cell" class="c-state"><${State} row=${row} /></td><td role="cell" class="c-needs" data-k=${head.needs}><${NeedsCell} needs=${row.needs} /></td><td role="cell" class="c-users" data-k=${head.users}><${Names} names=${row.users} /></td></tr>`)}</tbody></table></section>`;
}

function Alone({ rows }) {
  if (!rows.length) return null;
  return html`<details class="sheet alone"><summary>${words.alone(rows.length)}</summary><p><${Names} names=${rows.map((row) => row.name)} /></p></details>`;
}

function Nothing() {
  return html`<section class="sheet"><div class="blank"><h2>${words.none}</h2><p>${words.whatIsIt}</p><pre><code>${words.howTo}</code></pre></div></section>`;
}

const LINES = { '': 'circusctl graph', start: 'circusctl timeline', last: 'circusctl timeline --last' };

function Views({ view }) {
  return html`<nav class="seg" aria-label=${words.whichView}>${Object.entries(words.views).map(([part, name]) => html`<a key=${part} href=${`${base}/graph/${part}`} data-ctl=${LINES[part]} aria-current=${part === view ? 'page' : undefined}>${name}</a>`)}</nav>`;
}

export function GraphPage({ rest }) {
  useTitle(words.title);
  const view = rest in LINES ? rest : '';
  if (view) return html`<main id="page" class="page graph-page"><header class="head-of"><div><h1>${words.title}</h1></div><${Views} view=${view} /></header><${Starts} last=${view === 'last'} /></main>`;
  const { tied, alone } = entangled();
  const lacking = tied.filter((row) => row.watcher && row.needs.some((need) => !need.met));
  const many = (is) => lacking.filter(is).length;
  return html`<main id="page" class="page graph-page"><header class="head-of"><div><h1>${words.title}</h1><p class="explain">${tied.length ? words.lead(tied.filter((row) => row.watcher).length, many((row) => row.watcher.state === 'waiting'), many((row) => row.watcher.state === 'failed'), many((row) => stateOf(row).kind === 'run')) : ''}</p></div>
      <${Views} view="" /><${FormLink} href=${`${base}/c/graph?mermaid=true`} line="circusctl graph --mermaid">${words.mermaid}<//></header>
    ${!store.heard ? html`<${Loading} />` : tied.length ? html`<${Picture} rows=${tied} /><${Table} rows=${tied} />` : html`<${Nothing} />`}<${Alone} rows=${alone} /></main>`;
}
