// One process: what it takes, how those before it ended, what it has started, what it holds, and what can be sent to it.

import { useEffect, useState } from '../vendor/hooks.js';
import { visible } from './ansi.js';
import { amount, html, icon, mark } from './shapes.js';
import { bytes, clock, count, percent, span, when, word } from './format.js';
import { act, barred, call, isBusy, lineFor } from './commands.js';
import { Do, Note, processState } from './parts.js';
import { Loading } from './frame.js';
import { base, may } from './page.js';
import { address } from './overview.js';
import { alive, isLive, now, shape, store, watcherNamed } from './store.js';
import { details as say, healthWord, say as common, verbs } from './words.js';

const OFTEN = 5000; // milliseconds
const SIGNALS = ['HUP', 'USR1', 'USR2', 'INT', 'TERM', 'KILL'];
const SIZES = ['rss', 'pss', 'rss_peak', 'vms', 'swap', 'rchar', 'wchar', 'read_bytes', 'write_bytes'];
const FIGURES = ['cpu', 'cpu_time', 'rss', 'pss', 'rss_peak', 'vms', 'swap', 'threads', 'switches', 'rchar', 'wchar', 'read_bytes', 'write_bytes'];
const TEXTS = ['command', 'exe', 'cwd', 'root', 'uid', 'gid'];

function figure(key, value) {
  if (key === 'cpu') return percent(value);
  if (key === 'cpu_time') return [value < 100 ? value.toFixed(2) : span(value), value < 100 ? 's' : ''];
  return SIZES.includes(key) ? bytes(value) : [count(value), ''];
}

/** The reply of `process`, asked for again and again while somebody looks; and at once with each other process in the slot. */
function useProcess(name, wid, pid, values) {
  const [told, setTold] = useState({ reply: null, problem: '' });
  useEffect(() => {
    let timer = 0;
    let away = false;
    const ask = async () => {
      if (!document.hidden && isLive()) {
        await call('process', { name, wid, ...(values ? { values: true } : {}) }).then((reply) => { if (!away) setTold({ reply, problem: '' }); },
          (error) => { if (!away) setTold((before) => ({ ...before, problem: error.message })); });
      }
      if (!away) timer = setTimeout(ask, OFTEN);
    };
    ask();
    return () => { away = true; clearTimeout(timer); };
  }, [name, wid, pid, values]);
  return told;
}

function Sheet({ id, title, more, children, ctl, extra }) {
  return html`<section class=${`sheet ${id}`} aria-labelledby=${`${id}-h`} data-ctl=${ctl}><header><h2 id=${`${id}-h`}>${title}</h2>${more && html`<span class="dim">${more}</span>`}<span class="grow"></span>${extra}</header>${children}</section>`;
}

const blank = (text) => html`<div class="blank"><p>${text}</p></div>`;

function Takes({ stats }) {
  const texts = TEXTS.filter((key) => stats[key] !== undefined && stats[key] !== '' && !(key === 'root' && stats.root === '/'));
  return html`<dl class="facts">${FIGURES.filter((key) => stats[key] !== undefined).map((key) => html`<div><dt>${say.facts[key]}</dt><dd>${amount(stats[key] === null ? null : figure(key, stats[key]))}</dd></div>`)}</dl>
    <dl class="texts">${texts.map((key) => html`<div><dt>${say.facts[key]}</dt><dd><code dir="auto">${visible(String(stats[key]))}</code></dd></div>`)}</dl>`;
}

function Ends({ ends, wid }) {
  if (!ends.length) return blank(say.noEnds);
  return html`<ol class="events">${[...ends].reverse().map((end) => html`<li><time title=${when(end.time, now())}>${clock(end.time)}</time><span class=${end.code === 0 ? 'is-rest' : 'is-wait'}>${mark(end.code === 0 ? 'rest' : 'wait')}</span><p title=${end.text}>${visible(end.text.startsWith(`${wid} `) ? end.text.slice(String(wid).length + 1) : end.text)}</p><span class="by">${say.pid(end.pid)}</span></li>`)}</ol>`;
}

function Below({ below, leftOut }) {
  if (!below.length) return blank(say.nothingBelow);
  return html`<div class="rows-box" tabindex="0" role="group" aria-label=${say.below}><table class="tab compact kin-of"><thead><tr><th scope="col">${say.facts.command}</th><th scope="col" class="num">${common.heads.pid}</th><th scope="col" class="num">${common.heads.cpu}</th><th scope="col" class="num">${say.facts.rss}</th><th scope="col" class="num hide-s">${say.facts.age}</th></tr></thead>
    <tbody>${below.map((one) => html`<tr key=${one.pid}><th scope="row"><code class=${`d${Math.min(one.depth - 1, 5)}`} dir="auto" title=${one.command}>${visible(one.command)}</code></th><td class="num">${one.pid}</td><td class="num">${amount(percent(one.cpu))}</td><td class="num">${amount(bytes(one.rss))}</td><td class="num hide-s">${span(one.age)}</td></tr>`)}</tbody></table></div>
    ${leftOut > 0 && html`<p class="foot dim">${say.leftOut(count(leftOut))}</p>`}`;
}

function Files({ files }) {
  if (!files) return blank(say.noFiles);
  return html`<div class="rows-box" tabindex="0" role="group" aria-label=${say.files}><table class="tab compact held-files"><tbody>${files.files.map((one) => html`<tr key=${one.fd}><th scope="row" class="num">${one.fd}</th><td><code dir="auto">${visible(one.socket || one.target)}</code></td></tr>`)}</tbody></table></div>
    ${files.left_out > 0 && html`<p class="foot dim">${say.leftOut(count(files.left_out))}</p>`}`;
}

function Limits({ limits }) {
  const shown = (value, unit) => (value === null ? html`<span class="dim">${say.unlimited}</span>` : unit === 'bytes' ? amount(bytes(value)) : html`${count(value)}${unit && html`<span class="unit hide-s">${unit === 'us' ? 'µs' : unit}</span>`}`);
  return html`<div class="rows-box" tabindex="0" role="group" aria-label=${say.limits}><table class="tab compact"><thead><tr><th scope="col">${say.limits}</th><th scope="col" class="num">${say.soft}</th><th scope="col" class="num">${say.hard}</th></tr></thead>
    <tbody>${limits.map((row) => html`<tr key=${row.name}><th scope="row">${row.name.replace(/^Max /, '')}</th><td class="num">${shown(row.soft, row.unit)}</td><td class="num">${shown(row.hard, row.unit)}</td></tr>`)}</tbody></table></div>`;
}

function Environment({ reply }) {
  if (!reply.environment) return blank(say.noEnvironment);
  return html`<div class="rows-box" tabindex="0" role="group" aria-label=${say.environment}><table class="tab compact variables"><tbody>${Object.entries(reply.environment).map(([key, value]) => html`<tr key=${key}><th scope="row"><code>${visible(key)}</code></th><td><code dir="auto">${visible(value)}</code></td></tr>`)}</tbody></table></div>
    ${!reply.environment_whole && html`<p class="foot dim">${say.cutEnvironment}</p>`}`;
}

function Signals({ watcher, process }) {
  const to = (signum) => `${base}/c/signal?name=${encodeURIComponent(watcher.name)}&pid=${process.pid}${signum ? `&signum=${signum}` : ''}`;
  const freeze = `${base}/c/freeze?name=${encodeURIComponent(watcher.name)}&pid=${process.pid}`;
  return html`<div class="signals" role="group" aria-label=${say.signals}><span class="dim">${say.signals}</span>${SIGNALS.map((name) => html`<a class="btn small" href=${to(name)} data-ctl=${`circusctl signal ${word(watcher.name)} ${process.pid} ${name}`}>${name}</a>`)}
    ${process.state !== 'frozen' && html`<a class="btn small" href=${freeze} data-ctl=${`circusctl freeze ${word(watcher.name)} ${process.pid}`}>${verbs.freeze}</a>`}
    <a class="btn small quiet" href=${to('')} data-ctl=${`circusctl signal ${word(watcher.name)} ${process.pid}`}>${say.otherSignal}</a></div>`;
}

function healthOf(health) {
  const known = healthWord[health.state];
  const text = visible(health.text);
  return known && (known === healthWord.unhealthy || !text) ? say.health(known, clock(health.since), text) : text && say.lookFailed(text);
}

function Crumb({ watcher, wid }) {
  const chevron = html`<svg class="i" aria-hidden="true"><use href="#i-chev" /></svg>`;
  return html`<nav class="crumb" aria-label=${common.where}><a href=${`${base}/`}>${common.watchers}</a>${chevron}<a href=${address(watcher)} dir="auto">${visible(watcher.name)}</a>${chevron}<span>${say.process(wid)}</span></nav>`;
}

export function ProcessPage({ rest }) {
  const cut = rest.lastIndexOf('/');
  const name = rest.slice(0, cut);
  const wid = Number(rest.slice(cut + 1));
  const watcher = watcherNamed(name);
  const process = watcher?.processes.find((one) => one.wid === wid);
  const [values, setValues] = useState(false);
  useEffect(() => { document.title = `${name} ${wid} · ${store.daemon?.host || 'circus'} · circus`; });
  const { reply, problem } = useProcess(watcher?.name || name, wid, process?.pid, values && may('admin'));
  if (!store.daemon) return html`<main id="page" class="page"><h1 class="only-heard">${say.process(wid)}</h1><${Loading} /></main>`;
  if (!process) {
    return html`<main id="page" class="page"><section class="sheet"><div class="blank"><h1>${watcher ? say.noProcess(watcher.name, rest.slice(cut + 1)) : common.noWatcher(name)}</h1><p>${common.removedOrNever}</p>
      <a class="btn" href=${watcher ? address(watcher) : `${base}/`}>${watcher ? visible(watcher.name) : common.allWatchers}</a></div></section></main>`;
  }
  const live = alive(process);
  const given = { pid: String(process.pid) };
  const why = barred('kill', watcher, given);
  const held = live && reply?.pid === process.pid ? reply : null;
  const restart = () => { if (!why) act('kill', watcher, given); };
  const line = `circusctl process ${word(watcher.name)} ${wid}`;
  return html`<main id="page" class="page one-process">
    <${Crumb} watcher=${watcher} wid=${wid} />
    <header class="face"><div class="which" aria-hidden="true">${wid}</div>
      <div><div class="title"><h1>${say.process(wid)}</h1>${processState(process)}${live && html`<span class="tag">${say.pid(process.pid)}</span>`}</div>
        <p class="explain">${process.main_pid && html`${say.mainBelow(process.main_pid)} `}${process.health && html`<span dir="auto">${healthOf(process.health)}</span> `}${process.said && html`<span dir="auto">${say.says(visible(process.said))}</span> `}${process.replaced && html`<span dir="auto">${say.replaced(visible(process.replaced), process.state === 'stopping')}</span> `}${say.ofWatcher} <a class="say" href=${address(watcher)} dir="auto">${visible(watcher.name)}</a>. ${process.state === 'frozen' && process.frozen_by ? html`<span dir="auto">${common.frozenBy(visible(process.frozen_by))}</span> ` : ''}${live && process.started !== null ? html`${say.facts.age} ${span(now() - process.started)}, ` : ''}${count(process.starts)} ${process.starts === 1 ? 'start' : 'starts'}. ${process.exit && !live ? visible(process.exit.text) : ''}</p></div>
      <div class="do" role="toolbar" aria-label=${common.doTo(say.process(wid))}>${live && html`<button class="btn" type="button" data-what="kill" data-ctl=${lineFor('kill', watcher, given)} title=${why || undefined} aria-disabled=${why ? 'true' : undefined} aria-busy=${isBusy(watcher, 'kill') ? 'true' : undefined} onClick=${restart}>${icon('restart')}<span class="label">${say.restartIt}</span></button>`}${process.state === 'frozen' && html`<${Do} what="thaw" watcher=${watcher} given=${given} picture="start" main />`}${['wait', 'fail'].includes(shape(process.state)) && html`<${Do} what="start" watcher=${watcher} label=${verbs.tryNow} />`}
        <a class="btn" href=${address(watcher)}>${icon('list')}<span class="label">${common.log}</span></a></div></header>
    <${Note} watcher=${watcher} />
    ${live && may('operator') && html`<${Signals} watcher=${watcher} process=${process} />`}
    ${problem && html`<div class="note" role="alert"><span class="why">${problem}</span></div>`}
    <div class="parts">
      ${live ? html`<${Sheet} id="takes" title=${say.what} more=${say.askedAgain} ctl=${line}>${held?.stats ? html`<${Takes} stats=${held.stats} />` : blank(common.asking)}<//>` : html`<${Sheet} id="takes" title=${say.what} ctl=${line}>${blank(say.runsNot)}<//>`}
      ${held && html`<${Sheet} id="kin" title=${say.below} more=${held.below.length ? count(held.below.length + held.left_out) : ''} ctl=${`circusctl tree ${word(watcher.name)}`}><${Below} below=${held.below} leftOut=${held.left_out} /><//>
        <${Sheet} id="variables" title=${say.environment} more=${say.asStarted} ctl=${`${line}${values ? ' --values' : ''}`} extra=${may('admin') ? html`<button class="btn small" type="button" aria-pressed=${String(values)} data-ctl=${`${line} --values`} onClick=${() => setValues(!values)}>${values ? say.hideValues : say.showValues}</button>` : html`<span class="dim">${say.valuesFor}</span>`}><${Environment} reply=${held} /><//>`}
      <${Sheet} id="ends" title=${say.ends} ctl=${`circusctl events ${word(watcher.name)}`}>${reply ? html`<${Ends} ends=${reply.ends || []} wid=${wid} />` : blank(common.asking)}<//>
      ${held && html`<${Sheet} id="files" title=${say.files} more=${held.files ? say.openFiles(count(held.files.count)) : ''} ctl=${line}><${Files} files=${held.files} /><//>
        <${Sheet} id="limits" title=${say.limits} ctl=${line}><${Limits} limits=${held.limits} /><//>`}
    </div></main>`;
}
