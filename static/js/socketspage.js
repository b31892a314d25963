// The listening sockets that circusd holds: where, who has them, and who waits in their queues.

import { count, word } from './format.js';
import { html, mark } from './shapes.js';
import { visible } from './ansi.js';
import { address } from './overview.js';
import { Loading } from './frame.js';
import { FormLink, NotAsked, useAsked, useTitle } from './asked.js';
import { base } from './page.js';
import { asked, sockets as words } from './words.js';

const EVERY = 2; // seconds

const told = (value) => (value === null || value === undefined ? html`<span class="dim">${asked.none}</span>` : count(value));
const where = (row) => (row.path !== undefined ? row.path : `${row.host.includes(':') ? `[${row.host}]` : row.host}:${row.port}`);
const isFull = (row) => Boolean(row.limit) && row.waiting >= row.limit;

/** How much of the queue is taken, as a bar beside the number. */
function Queue({ row }) {
  if (row.waiting === null || row.waiting === undefined) return told(null);
  const label = words.queueIs(row.waiting, row.limit);
  if (!row.limit) return html`<span title=${label}>${count(row.waiting)} <span class="unit">${words.bytes}</span></span>`;
  const share = Math.min(1, row.waiting / row.limit);
  return html`<span class=${`queue${isFull(row) ? ' is-fail' : row.waiting ? ' is-wait' : ''}`} title=${label}>${isFull(row) && mark('fail')}<span>${count(row.waiting)} <small>${words.of} ${count(row.limit)}</small></span>
    <svg viewBox="0 0 60 4" preserveAspectRatio="none" aria-hidden="true"><rect class="b" width="60" height="4" rx="2" /><rect class="v" width=${share && Math.max(2, 60 * share)} height="4" rx="2" /></svg></span>`;
}

function Holders({ row }) {
  if (!row.watchers.length) return html`<span class="dim">${words.byNobody}</span>`;
  return html`<span class="holders">${row.watchers.map((name) => {
    const pids = row.processes.filter((process) => process.watcher === name).map((process) => process.pid);
    const number = row.awaited_by?.includes(name) ? words.byConnection : words.processes(pids.length);
    return html`<span><a class="name" href=${address({ name })} dir="auto">${visible(name)}</a> <small class="dim" title=${pids.join(', ')}>${number}${pids.length && pids.length <= 4 ? html`: ${pids.join(', ')}` : ''}</small></span>`;
  })}</span>`;
}

function Row({ row }) {
  const remove = `${base}/c/rmsocket?name=${encodeURIComponent(row.name)}`;
  const own = row.name === 'circushttpd';
  return html`<tr role="row" class=${isFull(row) ? 'needs' : ''} data-socket=${row.name}>
    <th role="rowheader" scope="row" class="c-name" dir="auto">${visible(row.name)}</th>
    <td role="cell" class="c-address"><code>${visible(where(row))}</code></td>
    <td role="cell" class="c-kind dim">${words.kinds[row.type]?.[row.family] || row.type || ''}</td>
    <td role="cell" class="c-queue num" data-k=${words.head.queue}><${Queue} row=${row} /></td>
    <td role="cell" class="c-open num" data-k=${words.head.open}>${told(row.connections)}</td>
    <td role="cell" class="c-dropped num" data-k=${words.head.dropped}>${row.dropped ? html`<span class="is-wait">▲ ${count(row.dropped)}</span>` : told(row.dropped)}</td>
    <td role="cell" class="c-fd num dim">${row.fd}</td>
    <td role="cell" class="c-held"><${Holders} row=${row} /></td>
    <td role="cell" class="c-act num">${!own && html`<${FormLink} kind="small quiet" href=${remove} line=${`circusctl rmsocket ${word(row.name)}`} picture="minus" name=${words.removeOne(row.name)}>${words.remove}<//>`}</td></tr>`;
}

function Table({ rows }) {
  const { head } = words;
  return html`<section class="sheet cards" aria-label=${words.title}><table class="tab socket-table" role="table"><thead role="rowgroup"><tr role="row">
    <th role="columnheader" scope="col" class="c-name">${head.name}</th><th role="columnheader" scope="col" class="c-address">${head.address}</th><th role="columnheader" scope="col" class="c-kind">${head.kind}</th><th role="columnheader" scope="col" class="c-queue num">${head.queue}</th>
    <th role="columnheader" scope="col" class="c-open num">${head.open}</th><th role="columnheader" scope="col" class="c-dropped num">${head.dropped}</th><th role="columnheader" scope="col" class="c-fd num">${head.fd}</th><th role="columnheader" scope="col" class="c-held">${head.held}</th><th role="columnheader" scope="col" class="c-act"><span class="only-heard">${words.remove}</span></th></tr></thead>
    <tbody role="rowgroup">${rows.map((row) => html`<${Row} key=${row.name} row=${row} />`)}</tbody></table></section>`;
}

function Nothing() {
  return html`<section class="sheet"><div class="blank"><h2>${words.none}</h2><p>${words.whatIsASocket}</p><pre><code>${words.howTo}</code></pre></div></section>`;
}

export function SocketsPage() {
  useTitle(words.title);
  const { reply, error, ask } = useAsked('listsockets', { details: true }, EVERY);
  const rows = reply?.sockets || [];
  const full = rows.filter(isFull).map((row) => row.name);
  return html`<main id="page" class="page sockets-page"><header class="head-of"><div><h1>${words.title}</h1><p class="explain">${full.length ? words.full(full.join(', ')) : reply ? words.lead(rows.length) : ''}</p></div>
      <${FormLink} kind="main" href=${`${base}/c/addsocket`} line="circusctl help addsocket" picture="plus">${words.add}<//></header>
    ${error && html`<${NotAsked} what=${words.title} error=${error} ask=${ask} />`}
    ${reply ? rows.length ? html`<${Table} rows=${rows} /><p class="dim">${words.help}</p>` : html`<${Nothing} />` : error ? null : html`<${Loading} />`}</main>`;
}
