// What stands around every page: the top bar, the band that says when what is shown may be old, and the prompt line.

import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { clock, span, wait } from './format.js';
import { html, icon, inWords, mark, ring, state, tone } from './shapes.js';
import { age, byName, isLive, kindsOf, needsYou, now, shape, store } from './store.js';
import { base, page } from './page.js';
import { offered, pageAddress } from './pages.js';
import { askNow } from './live.js';
import { Menu } from './menu.js';
import { say, themeHelp, themes, verbs } from './words.js';

/** Shapes of all processes, watcher by watcher. */
export function fleet() {
  return byName().flatMap(kindsOf);
}

function ThemeMenu() {
  const [theme, setTheme] = useState(window.circusTheme.now);
  const name = say.theme(themes[theme]);
  return html`<${Menu} id="theme" kind="btn icon quiet" name=${name} label=${name} face=${icon('theme')}><div role="group" aria-label=${say.themeIs}>${window.circusTheme.themes.map((one) => html`
    <button type="button" aria-pressed=${String(one === theme)} onClick=${() => setTheme(window.circusTheme.choose(one))}>${icon(one === theme ? 'tick' : 'none')}<span>${themes[one]}</span><small>${themeHelp[one]}</small></button>`)}</div><//>`;
}

/** The pages: the first ones in the bar, the others below a button; what the bar has no room for is there too. */
function Pages({ current, alarm }) {
  const link = (row, inside) => html`<a class=${!inside && row.part ? 'hide-n' : ''} href=${pageAddress(row)} data-ctl=${row.line('')} aria-current=${current === row.part ? 'page' : undefined}>${row.title}${row.part ? '' : alarm}${inside ? html`<kbd>g ${row.key}</kbd>` : ''}</a>`;
  const here = offered.find((row) => row.part === current && row.part);
  const face = html`<span class="wide-only">${here?.more ? here.title : say.more}</span><span class="narrow-only">${here ? here.title : say.more}</span>${icon('open')}`;
  const classes = ['more', here && (here.more ? 'here' : 'here-n')].filter(Boolean).join(' ');
  return html`<nav class="nav" aria-label=${say.pages}>${offered.filter((row) => !row.more).map((row) => link(row, false))}
    <${Menu} id="pages" kind=${classes} name=${here ? say.morePagesFrom(here.title) : say.morePages} face=${face}><ul>${offered.map((row) => html`<li class=${row.more ? '' : row.part ? 'if-n' : 'if-s'}>${link(row, true)}</li>`)}</ul><//></nav>`;
}

function Leave() {
  const [failed, setFailed] = useState('');
  const leave = async () => {
    const answer = await fetch(`${page.prefix}/logout`, { method: 'POST', headers: { 'X-CSRF-Token': page.csrf }, cache: 'no-store' }).catch(() => null);
    // A session outlives circusd: whoever believes to have left must have.
    if (answer?.ok || answer?.status === 401) location.assign(`${page.prefix}/login`);
    else setFailed((await answer?.json().catch(() => null))?.detail || say.notLeft);
  };
  return html`${failed && html`<span class="is-fail" role="alert">${failed}</span>`}<span class="who" title=${`${page.person || say.anybody}, ${page.role}`}><b class="hide-s">${page.person}</b>${page.role !== page.person && html`<span class="hide-s">${page.role}</span>`}
    <button class="btn small quiet" type="button" onClick=${leave}>${say.logOut}</button></span>`;
}

export function Top({ current }) {
  const ill = byName().filter(needsYou);
  const worst = ill.some((watcher) => shape(watcher.state) === 'fail') ? 'fail' : 'wait';
  const host = store.daemon?.host || '';
  return html`<header class="top">
    <a class="brand" href=${`${base}/`} aria-label=${say.brandIs}>${ring(fleet())}<span class="brand-word">${say.brand}</span> <span class="host hide-m">${host}</span></a>
    <${Pages} current=${current} alarm=${ill.length > 0 && html` <span class=${`n alarm ${tone[worst]}`}>${mark(worst)}${ill.length}<span class="only-heard"> ${say.theyNeedYou(ill.length)}</span></span>`} />
    <div class="right"><button class="find" type="button" data-palette="" aria-label=${say.findOrDo} aria-keyshortcuts="Control+K">${icon('find')}<span class="grow">${say.findOrDo}</span><kbd>Ctrl K</kbd></button><${ThemeMenu} /><${Leave} /></div>
  </header>`;
}

/** Since when, how old, what happens next; announced once. */
export function Notice() {
  const { link } = store;
  if (link.state === 'over') {
    return html`<div class="notice" role="alert"><span class="st is-fail">${mark('fail')}<span>${say.sessionOver}</span></span>
      <a class="btn small" href=${`${page.prefix}/login?next=${encodeURIComponent(location.pathname.slice(page.prefix.length))}`}>${say.logIn}</a>
      <span>${say.sessionHow} <code>circusctl weblink</code></span></div>`;
  }
  if (isLive()) {
    if (store.updated) {
      return html`<div class="notice" role="status"><span>${say.updated}</span><button class="btn small" type="button" onClick=${() => location.reload()}>${say.reload}</button></div>`;
    }
    if (link.transport === 'polling') return html`<div class="notice quiet" role="status"><span class="dim">${say.polling}</span></div>`;
    return null;
  }
  // The first connection takes a moment: nothing is said before it is late.
  if (!store.heard && Date.now() - link.since < 1500 && link.state === 'connecting') return null;
  const since = clock((store.heard || link.since) / 1000 + store.skew);
  const what = link.state === 'console' || link.state === 'connecting' ? say.lostConsole(since) : say.lostDaemon(since);
  return html`<div class="notice" role="alert" aria-atomic="false"><span class="st is-wait">${mark('wait')}<span>${what[0].toUpperCase() + what.slice(1)}</span></span>
    <span aria-live="off">${store.heard ? say.howOld(wait(age())) : ''}</span>
    <button class="btn small" type="button" onClick=${askNow}>${verbs.askNow}</button></div>`;
}

function linkState() {
  if (store.link.state === 'over') return state('fail', say.sessionOver.toLowerCase());
  if (isLive()) return state('run', say.live);
  if (!store.heard) return state('lost', say.connecting);
  return state('wait', say.notLive(wait(age())));
}

/** The line of whatever is under the focus or the pointer, as circusctl takes it. */
export const prompt = { line: '', resting: 'circusctl status' };

export async function copyPrompt() {
  await navigator.clipboard?.writeText(prompt.line || prompt.resting).catch(() => {});
  const button = document.querySelector('[data-copy]');
  if (!button) return;
  button.textContent = say.copied;
  setTimeout(() => { button.textContent = verbs.copy; }, 1200);
}

function watchPrompt(element) {
  const follow = (event) => {
    const thing = event.target.closest?.('[data-ctl]');
    prompt.line = thing ? thing.dataset.ctl : '';
    // By hand: the pointer moves far more often than the page has to be drawn.
    element.textContent = prompt.line || prompt.resting;
  };
  for (const type of ['pointerover', 'focusin']) document.addEventListener(type, follow);
  return () => { for (const type of ['pointerover', 'focusin']) document.removeEventListener(type, follow); };
}

export function Foot({ resting, onKeys }) {
  const code = useRef();
  useEffect(() => watchPrompt(code.current), []);
  useEffect(() => {
    prompt.resting = resting;
    prompt.line = '';
    code.current.textContent = resting;
  }, [resting]);
  const { daemon, link } = store;
  const lag = store.daemonLoad.lag ?? daemon?.lag;
  const trip = link.roundTrip === null ? '' : `, ${Math.max(1, Math.round(link.roundTrip))} ms`;
  return html`<footer class="prompt" aria-label=${say.footIs}>
    <span class="link" role="status">${linkState()}</span><span class="dim hide-m">${isLive() && link.transport ? `${link.transport}${trip}` : ''}</span><span class="sep"></span>
    <span class="cli"><i aria-hidden="true">$</i><code ref=${code}></code><button type="button" data-copy onClick=${copyPrompt}>${verbs.copy}</button><kbd>y</kbd></span>
    <span class="facts">
      ${typeof lag === 'number' && html`<span class="hide-m">${say.loopLag((lag * 1000).toFixed(1))}</span>`}
      ${daemon && html`<span title=${say.versions(page.version, daemon.pid)}>${say.upSince(daemon.version, span(now() - daemon.started))}</span>`}
      <span class="hide-m">${clock(now())}</span>
      <button type="button" onClick=${onKeys}><kbd>?</kbd> ${say.keysWord}</button>
    </span>
  </footer>`;
}

/** Three still bars: shown by the style sheet only when it takes longer than 300 ms. */
export function Loading() {
  return html`<section class="sheet late"><div class="blank" aria-busy="true"><p class="only-heard" role="status">${say.asking}</p>
    <span class="ghost a"></span><span class="ghost b"></span><span class="ghost c"></span></div></section>`;
}

/** "17 processes: 15 running, 1 starting" for the ring that stands alone. */
export function fleetLabel() {
  const kinds = fleet();
  return `${say.processCount(kinds.length)}: ${inWords(kinds)}`;
}
