// The crash reports of a watcher: a list of them, and one in full.

import { useLayoutEffect, useRef, useState } from '../vendor/hooks.js';
import { nodes, plain, strip, visible } from './ansi.js';
import { NotAsked, useAsked } from './asked.js';
import { bytes, clock, clockFine, count, percent, span, stamp, wait, word } from './format.js';
import { moment } from './moment.js';
import { base } from './page.js';
import { amount, html, icon, mark, state } from './shapes.js';
import { now, store } from './store.js';
import { told as say } from './crashwords.js';

const WIDTH = 240;
const HEIGHT = 40;

const there = (watcher, id) => `${base}/w/${encodeURIComponent(watcher.name)}?tab=crashes${id ? `&report=${id}` : ''}`;
const short = (value) => (value < 120 ? wait(value) : span(value));
const sized = (value) => (bytes(value) || ['–', '']).join(' ').trim();
const lived = (row) => (row.lived === null || row.lived === undefined ? '' : short(row.lived));

/** The first sentence of a report. */
function headline(row) {
  return say.sentence(row.wid, row.how, row.stage ? '' : lived(row));
}

function coreOf({ core_dump: found }) {
  if (found?.handler) return [say.core.given(found.handler), found.hint];
  if (!found?.path) return [say.core.unknown, ''];
  return [found.size === null ? say.core.missing(found.path) : say.core.at(found.path, sized(found.size)), ''];
}

/** What is known in figures, as pairs of a name and text; a third part is a command that tells more. */
function factsOf(report) {
  const used = report.usage;
  const rows = [['ended', `${stamp(report.ended, now())}, ${say.ago(short(now() - report.ended))}`]];
  if (report.started) rows.push(['started', stamp(report.started, now())], ['pid', String(report.pid)]);
  if (report.count > 1) rows.push(['times', say.lasted(count(report.count), short(now() - report.last))]);
  if (report.others) rows.push(['others', say.others(count(report.others))]);
  if (report.stage && report.pid) rows.push(['exit', report.signal_name || say.code(report.code)]);
  if (report.stop) rows.push(['stop', say.stopped(report.stop.command, report.stop.by)]);
  for (const one of report.sent || []) rows.push(['sent', say.sentAt(one.signal, clock(one.time), one.by)]);
  if (report.core) rows.push(['core', ...coreOf(report)]);
  if (used) {
    rows.push(['processor', say.processor(used.user, used.system)], ['memory', `${used.is_bound ? `${say.noMore} ` : ''}${sized(used.max_rss)}`],
      ['faults', say.faults(count(used.minor_faults), count(used.major_faults))], ['switches', say.switches(count(used.voluntary), count(used.involuntary))]);
    if (used.blocks_in || used.blocks_out) rows.push(['disks', say.blocks(count(used.blocks_in), count(used.blocks_out))]);
  }
  if (report.next) rows.push(['next', report.next]);
  return rows;
}

function sinceOf(report) {
  if (!report.since) return say.noStart;
  const time = stamp(report.since, now());
  return Math.abs(report.since - (report.started || 0)) < 1 ? say.sinceStart(time) : say.since(time);
}

const fileText = (file) => (file ? say.written(stamp(file.modified, now()), sized(file.size)) : say.isGone);

/** What is different, as rows of what, then and now. */
function differences(report) {
  const files = (report.files || []).map((one) => {
    const same = one.now && one.was.modified === one.now.modified && one.was.size === one.now.size;
    return [`${say.kinds[one.what] || one.what} ${one.file}`, fileText(one.was), same ? say.other : fileText(one.now)];
  });
  return [...(report.changes || []).map((one) => [one.option, one.was ?? say.notSet, one.now ?? say.notSet]), ...files];
}

const oneLine = (text) => visible(String(text));

/** The whole report as plain text, for a ticket or a message. */
function textOf(report) {
  const lines = [`${report.watcher}: ${headline(report)}`];
  if (report.means) lines.push(say.means(report.means));
  if (report.killer) lines.push(say.killer(report.killer));
  lines.push('', ...factsOf(report).map(([key, text, hint]) => `${say.facts[key]}: ${text}${hint ? ` (${hint})` : ''}`));
  lines.push('', `${say.changed}, ${sinceOf(report)}`, ...(differences(report).map(([what, was, is]) => `  ${what}: ${was} → ${is}`)));
  if (report.since && !differences(report).length) lines.push(`  ${say.same}`);
  lines.push('', say.lines, ...(report.lines || []).map((line) => `  ${clockFine(line.time)} ${line.stream === 'stderr' ? '!' : '|'} ${strip(line.text)}`));
  return `${lines.map(oneLine).join('\n')}\n`;
}

function List({ watcher, rows, at }) {
  return html`<div class="rows-box" tabindex="0" role="group" aria-label=${say.reports}><table class="tab compact reports"><thead><tr><th scope="col">${say.last}</th><th scope="col" class="num">${say.process}</th><th scope="col">${say.how}</th><th scope="col" class="num">${say.up}</th><th scope="col" class="num">${say.times}</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.id} class=${row.id === at ? 'meant' : ''}>
      <th scope="row"><a class="say" href=${there(watcher, row.id)} aria-current=${row.id === at ? 'true' : undefined} data-ctl=${`circusctl crash ${word(watcher.name)} ${row.id}`} aria-label=${`${say.report(row.id)}, ${stamp(row.last, now())}`}>${stamp(row.last, now())}</a></th>
      <td class="num">${row.wid}</td><td class="how" title=${visible(row.how)}>${state('fail', visible(row.how))}</td><td class="num">${lived(row) || html`<span class="dim">–</span>`}</td><td class="num">${count(row.count)}</td></tr>`)}</tbody></table></div>`;
}

/** The values over their time as a line: gaps where nothing ran, from 0 up to the most. */
function curve(times, values) {
  const known = values.filter((value) => value !== null);
  const top = Math.max(...known, 1e-9);
  const wide = Math.max(times.at(-1) - times[0], 1e-9);
  let path = '';
  let open = false;
  values.forEach((value, i) => {
    if (value === null) { open = false; return; }
    const x = (((times[i] - times[0]) / wide) * WIDTH).toFixed(1);
    const y = (HEIGHT - 2 - (value / top) * (HEIGHT - 6)).toFixed(1);
    path += open ? `L${x} ${y}` : `M${x} ${y}h0`;
    open = true;
  });
  return html`<svg class="curve" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true"><path d=${path} /></svg>`;
}

function Load({ load }) {
  const times = load?.times || [];
  const rows = [[say.cpu, load?.cpu || [], percent], [say.memory, load?.rss || [], bytes]].filter(([, values]) => values.some((value) => value !== null));
  if (times.length < 2 || !rows.length) return html`<p class="dim said">${say.noLoad}</p>`;
  return html`<div class="curves">${rows.map(([name, values, form]) => {
    const known = values.filter((value) => value !== null);
    return html`<figure key=${name}><figcaption><b>${name}</b> ${amount(form(known.at(-1)))} <span class="dim">${say.most} ${amount(form(Math.max(...known)))}</span></figcaption>${curve(times, values)}</figure>`;
  })}</div>`;
}

function Changes({ report }) {
  const rows = differences(report);
  if (!report.since) return html`<p class="dim said">${say.noStart}</p>`;
  if (!rows.length) return html`<p class="dim said">${say.same}</p>`;
  return html`<table class="tab compact different"><thead><tr><th scope="col">${say.option}</th><th scope="col">${say.was}</th><th scope="col">${say.now}</th></tr></thead>
    <tbody>${rows.map(([what, was, is]) => html`<tr key=${what}><th scope="row"><code dir="auto">${visible(what)}</code></th><td><code dir="auto">${visible(String(was))}</code></td><td><span class="is-wait">▲</span> <code dir="auto">${visible(String(is))}</code></td></tr>`)}</tbody></table>`;
}

/** Text with its terminal colours; nothing in it is markup. */
function Coloured({ text }) {
  const place = useRef();
  useLayoutEffect(() => { place.current?.replaceChildren(...nodes(text, plain)); }, [text]);
  return html`<code class="text" dir="auto" ref=${place}></code>`;
}

function Lines({ lines }) {
  const list = useRef();
  // The last one says most.
  useLayoutEffect(() => { list.current?.scrollTo(0, list.current.scrollHeight); }, []);
  if (!lines?.length) return html`<p class="dim said">${say.noLines}</p>`;
  return html`<ol class="last-lines" ref=${list} tabindex="0" aria-label=${say.lines}>${lines.map((line) => html`<li key=${`${line.stream} ${line.number}`} class=${line.stream}><time title=${stamp(line.time, now())}>${clockFine(line.time)}</time><span class=${line.stream === 'stderr' ? 'from is-fail' : 'from dim'}>${line.stream === 'stderr' ? say.err : say.out}</span><${Coloured} text=${line.text} /></li>`)}</ol>`;
}

function Report({ watcher, report }) {
  const [copied, setCopied] = useState(0);
  const copy = () => navigator.clipboard?.writeText(textOf(report)).then(() => setCopied(report.id)).catch(() => {});
  const times = report.load?.times || [];
  return html`<article class="crash" aria-labelledby="cr-h" data-ctl=${`circusctl crash ${word(watcher.name)} ${report.id}`}>
    <header><h3 id="cr-h"><span class="is-fail">${mark('fail')}</span><span dir="auto">${visible(headline(report))}</span></h3>
      <div class="do"><button class="btn small" type="button" onClick=${() => moment.set(watcher.name, report.ended)}>${icon('list')}${say.toLog}</button><button class="btn small" type="button" onClick=${copy}>${icon('copy')}<span aria-live="polite">${copied === report.id ? say.copied : say.copy}</span></button></div>
      ${report.means && html`<p>${say.means(report.means)}</p>`}${report.killer && html`<p>${say.killer(report.killer)}</p>`}</header>
    <h4>${say.lines}</h4><${Lines} lines=${report.lines} />
    <h4>${say.changed}${report.since ? html` <small class="dim">${sinceOf(report)}</small>` : ''}</h4><${Changes} report=${report} />
    <h4>${say.before}${times.length > 1 ? html` <small class="dim">${say.beforeMore(span(times.at(-1) - times[0]))}</small>` : ''}</h4><${Load} load=${report.load} />
    <dl class="known">${factsOf(report).map(([key, text, hint], i) => html`<div key=${`${key}${i}`}><dt>${say.facts[key]}</dt><dd dir="auto">${visible(text)}${hint && html` <code>${visible(hint)}</code>`}</dd></div>`)}</dl>
  </article>`;
}

/** One report, asked for by its number; `turn` changes when more ends were counted with it. */
function Chosen({ watcher, id, turn }) {
  const { reply, error, ask } = useAsked('crash', { name: watcher.name, id }, 0, turn);
  const report = reply?.crash?.id === id && reply.crash.watcher === watcher.name ? reply.crash : null;
  if (report) return html`<${Report} watcher=${watcher} report=${report} />`;
  return error ? html`<${NotAsked} what=${say.report(id)} error=${error} ask=${ask} />` : html`<p class="dim said" role="status">${say.loading}</p>`;
}

export function Crashes({ watcher }) {
  const { name } = watcher;
  const { reply, error, ask } = useAsked('crashes', { name, match: 'simple' }, 5, `${watcher.crash?.id} ${store.daemon?.epoch}`);
  const rows = reply?.crashes || [];
  const wanted = Number(new URLSearchParams(location.search).get('report')) || 0;
  const known = rows.find((row) => row.id === wanted);
  const shown = known || rows[0];
  return html`<section class="sheet crashes" aria-labelledby="c-h" data-ctl=${`circusctl crashes ${word(name)}`}>
    <header><h2 id="c-h">${say.title}</h2>${rows.length > 0 && html`<span class="dim">${say.number(count(rows.length))}</span>`}</header>
    ${error && html`<${NotAsked} what=${say.title} error=${error} ask=${ask} />`}
    ${reply?.problem && html`<p class="st is-wait said">${mark('wait')}<span>${visible(say.notKept(reply.problem))}</span></p>`}
    ${wanted > 0 && reply && !known && html`<p class="st is-wait said" role="status">${mark('wait')}<span>${say.gone(wanted)}</span></p>`}
    ${reply && !rows.length && html`<div class="blank"><p>${say.none}</p><p class="dim">${say.noneMore}</p></div>`}
    ${rows.length > 0 && html`<${List} watcher=${watcher} rows=${rows} at=${shown.id} />`}
    ${shown && html`<${Chosen} key=${`${name} ${shown.id}`} watcher=${watcher} id=${shown.id} turn=${`${shown.count} ${shown.others}`} />`}
  </section>`;
}
