// Lines that a person wants to be told of: kept in this browser for each person, looked for while a page of the console is open.

import { render } from '../vendor/preact.js';
import { useEffect, useReducer } from '../vendor/hooks.js';
import { told } from './alertwords.js';
import { hasEscapes, strip, visible } from './ansi.js';
import { count } from './format.js';
import { follow } from './live.js';
import { BATCH, Pattern } from './match.js';
import { alertsKey, base, page } from './page.js';
import { loadSheet } from './pages.js';
import { lineClock, parsed } from './query.js';
import { html, mark } from './shapes.js';
import { now as daemonTime, store } from './store.js';

export const MOST = 20; // that are looked for
const PAUSE = 30000; // milliseconds between two times that one is told
const MARKS = 4; // in the page at once
const LONGEST = 400; // characters of a line that are shown
const TEXT = 500; // characters that are looked for
const SOURCES = 5000; // whose last line is known
const PAST = 500; // lines that come first, among which may be what was missed
const AWAY = 60000; // milliseconds between two pages of which nothing is missed

let watches = []; // {rule, pattern, names, told, more, busy, failed}
let marks = []; // newest first: {rule, watcher, wid, time, text, address, more}
let stream = null;
let followed = ''; // what it follows
let problem = ''; // why it does not
let last = new Map(); // by source: the number of its last line
let epoch = '';
let latest = 0; // when the last line of all came
let since = 0; // the same when the stream was opened
let drawn = () => {};

const isRule = (rule) => typeof rule?.q === 'string' && rule.q.length <= TEXT && typeof rule.exact === 'boolean'
  && (rule.watchers === null || (Array.isArray(rule.watchers) && rule.watchers.length > 0 && rule.watchers.every((name) => typeof name === 'string')));

function kept() {
  try { return JSON.parse(localStorage.getItem(alertsKey) || '[]').filter(isRule).slice(0, MOST); } catch { return []; }
}

function keep(rules) {
  try { if (rules.length) localStorage.setItem(alertsKey, JSON.stringify(rules)); else localStorage.removeItem(alertsKey); } catch { /* A browser that keeps nothing forgets them with the page. */ }
  take(rules);
}

/** Why nothing is looked for, if so. */
export const trouble = () => problem;

/** What is looked for: `{rule, failed}` each. */
export const wanted = () => watches;

/** From now on the person is told of it; returns why not, if not. */
export function want(rule) {
  const rules = watches.map((watch) => watch.rule);
  if (rules.length >= MOST) return told.many(MOST);
  if (rules.some((other) => JSON.stringify(other) === JSON.stringify(rule))) return told.same;
  keep([...rules, rule]);
  return '';
}

export function forget(rule) {
  keep(watches.map((watch) => watch.rule).filter((other) => other !== rule));
}

/** What stands for lines like one: its text, with any number in the place of each. */
export function like(text) {
  const short = text.trim().slice(0, 200);
  if (!/\d/.test(short) && !/^[!/]/.test(short)) return short;
  return `/${short.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&').replace(/\d+/g, '\\d+')}/`;
}

function take(rules) {
  const known = new Map(watches.map((watch) => [JSON.stringify(watch.rule), watch]));
  watches = rules.map((rule) => {
    const key = JSON.stringify(rule);
    const watch = known.get(key);
    known.delete(key);
    if (watch) return watch;
    const { pattern } = parsed(rule.q, rule.exact);
    return { rule, pattern: pattern && new Pattern(pattern), names: rule.watchers && new Set(rule.watchers.map((name) => name.toLowerCase())), told: -Infinity, more: 0, busy: false, failed: !pattern };
  });
  for (const { pattern } of known.values()) pattern?.close();
  marks = marks.filter((one) => watches.some((watch) => watch.rule === one.rule));
  listen();
  drawn();
}

/** One stream has the lines of all watchers that are meant. */
function listen() {
  const names = watches.some((watch) => watch.names === null) ? null : [...new Set(watches.flatMap((watch) => watch.rule.watchers))].sort();
  const key = JSON.stringify(names);
  if (!watches.length) {
    stream?.close();
    stream = null;
    last.clear();
    latest = 0;
  } else if (!stream) {
    stream = follow(names, PAST, { take: look, ended: (error) => { problem = error.text; }, opened: () => { problem = ''; since = latest; } });
  } else if (key !== followed) {
    // What others wrote before is no news.
    latest = 0;
    stream.change(names);
  }
  followed = key;
}

function look(run) {
  if (!run.lines.length) return;
  if (store.daemon && store.daemon.epoch !== epoch) { epoch = store.daemon.epoch; last.clear(); }
  const source = `${run.stream}/${run.wid}/${run.watcher}`;
  const before = last.get(source);
  // Of what was written before, news is what came while the page was changed, or its connection was gone.
  const isNews = before !== undefined ? ([number]) => number > before : ([, time]) => !run.past || (since > 0 && time > since);
  const lines = run.lines.filter(isNews);
  const [number, time] = run.lines[run.lines.length - 1];
  if (last.size >= SOURCES) last = new Map();
  last.set(source, Math.max(number, before ?? 0));
  latest = Math.max(latest, time);
  if (!lines.length) return;
  const texts = lines.map(([, , text]) => (hasEscapes(text) ? strip(text) : text));
  const name = run.watcher.toLowerCase();
  for (const watch of watches) {
    if (watch.failed || (watch.names && !watch.names.has(name))) continue;
    if (watch.pattern.test) {
      tell(watch, run, lines, texts, texts.map(watch.pattern.test));
    } else if (!watch.busy) {
      // What comes while the last lines are being looked at is passed over: nothing piles up.
      watch.busy = true;
      const some = texts.slice(-BATCH);
      watch.pattern.ask(some).then((bits) => { watch.busy = false; tell(watch, run, lines.slice(-BATCH), some, bits); }, () => { watch.failed = true; drawn(); });
    }
  }
}

function tell(watch, run, lines, texts, bits) {
  const found = texts.reduce((sum, text, at) => sum + (bits[at] ? 1 : 0), 0);
  if (!found || !watches.includes(watch)) return;
  const at = texts.findLastIndex((text, place) => bits[place]);
  const now = Date.now();
  const known = marks.find((one) => one.rule === watch.rule);
  if (now - watch.told < PAUSE) {
    watch.more += found;
    if (known) { known.more = watch.more; drawn(); }
    return;
  }
  watch.told = now;
  watch.more = found - 1;
  const [number, time] = lines[at];
  const params = new URLSearchParams({ w: run.watcher, line: `${epoch}/${number}/${run.wid}/${run.stream}/${run.watcher}`, t: time.toFixed(3) });
  const one = { rule: watch.rule, watcher: run.watcher, wid: run.wid, time, text: texts[at].slice(0, LONGEST), address: `${base}/logs/?${params}`, more: watch.more };
  marks = [one, ...marks.filter((other) => other !== known)].slice(0, MARKS);
  notify(one);
  drawn();
}

/** Whether the browser may tell of something: granted, default (it can be asked), denied, or nothing where it never does. */
export const permission = () => (window.Notification && window.isSecureContext ? Notification.permission : '');

function notify(one) {
  if (!document.hidden || permission() !== 'granted') return;
  try {
    const note = new Notification(`${page.daemon}: ${visible(told.came(one.watcher, one.wid))}`, { body: visible(one.text), tag: `circus ${JSON.stringify(one.rule)}` });
    note.onclick = () => { window.focus(); location.assign(one.address); };
  } catch { /* Some browsers of telephones have the name and not the thing. */ }
}

function Marks() {
  const [, redraw] = useReducer((turn) => turn + 1, 0);
  useEffect(() => { drawn = redraw; redraw(); return () => { drawn = () => {}; }; }, []);
  const away = (one) => { marks = marks.filter((other) => other !== one); redraw(); };
  return html`<section class="alerts" role="status" aria-label=${told.region}>${marks.map((one) => html`<article key=${`${one.address} ${one.rule.q}`} class="sheet">
    <header><span class="st is-wait">${mark('wait')}<b dir="auto">${visible(told.came(one.watcher, one.wid))}</b></span><time>${lineClock(one.time)}</time><button class="btn small icon quiet" type="button" aria-label=${told.dismiss(visible(one.watcher))} onClick=${() => away(one)}>×</button></header>
    <p dir="auto"><code>${visible(one.text)}</code></p>
    <footer>${one.more > 0 && html`<span class="dim">${told.more(count(one.more), one.more !== 1)}</span>`}<a class="say" href=${one.address} onClick=${() => away(one)}>${told.show}</a></footer></article>`)}</section>`;
}

/** The next page in this tab goes on where this one ends. */
function leave() {
  if (!stream) return;
  try { sessionStorage.setItem(alertsKey, JSON.stringify({ at: Date.now(), epoch, latest: latest || daemonTime(), last: [...last] })); } catch { /* What comes meanwhile is not told. */ }
}

function goOn() {
  try {
    const left = JSON.parse(sessionStorage.getItem(alertsKey) || '{}');
    sessionStorage.removeItem(alertsKey);
    if (left.at > Date.now() - AWAY) { epoch = left.epoch; latest = left.latest; last = new Map(left.last); }
  } catch { /* As if there had been no page before. */ }
}

loadSheet('alerts');
const place = document.createElement('div');
document.body.append(place);
render(html`<${Marks} />`, place);
addEventListener('storage', (event) => { if (event.storageArea === localStorage && event.key === alertsKey) take(kept()); });
addEventListener('pagehide', leave);
goOn();
take(kept());
