// The console: one connection, and pages that change without losing it.

import { render } from '../vendor/preact.js';
import { useEffect, useReducer, useState } from '../vendor/hooks.js';
import { alertsKey, base } from './page.js';
import { html } from './shapes.js';
import { Foot, Notice, Top } from './frame.js';
import { Keys } from './help.js';
import { address, Overview } from './overview.js';
import { Later } from './later.js';
import { own, placeOf } from './pages.js';
import { WatcherPage } from './watcher.js';
import { Palette } from './palette.js';
import { connect } from './live.js';
import { isLive, store, subscribe, touch } from './store.js';
import { listen } from './keys.js';
import { readAddress } from './view.js';

let place = placeOf(location);
let openKeys = () => {};
let openPalette = () => {};
let drawnAt = 0;

/** Goes to another page of the console, as a link would. */
function visit(path) {
  history.pushState(null, '', path);
  arrive();
}

function arrive() {
  place = placeOf(location);
  own.keys = {};
  own.help = [];
  if (place.row.part === '') readAddress(place.params);
  scrollTo(0, 0);
  touch();
}

addEventListener('popstate', arrive);
document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href]');
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || link.target || link.hasAttribute('download')) return;
  if (link.origin !== location.origin || !link.pathname.startsWith(`${base}/`)) return;
  event.preventDefault();
  if (link.pathname + link.search !== location.pathname + location.search) visit(link.pathname + link.search);
  else scrollTo(0, 0);
});
document.addEventListener('click', (event) => {
  const opener = event.target.closest?.('[data-palette]');
  if (opener) openPalette(opener.dataset.palette);
});

function Console() {
  const [, redraw] = useReducer((turn) => turn + 1, 0);
  const [keys, setKeys] = useState(false);
  const [palette, setPalette] = useState(null); // what it begins with, while it is open
  // What nobody looks at is not drawn; a page that comes back to the front is told so.
  useEffect(() => subscribe(() => { if (!document.hidden) { drawnAt = Date.now(); redraw(); } }), []);
  openKeys = () => setKeys(true);
  openPalette = setPalette;
  const live = isLive() || !store.heard;
  useEffect(() => {
    document.body.classList.toggle('stale', !live);
    document.body.classList.toggle('screen', Boolean(place.row.screen));
  });
  const { row, rest, params } = place;
  return html`<${Top} current=${row.part} /><${Notice} />
    ${row.part === '' ? html`<${Overview} open=${(watcher) => visit(address(watcher))} visit=${visit} />` : row.part === 'w' ? html`<${WatcherPage} key=${rest} name=${rest} />`
    : html`<${Later} key=${`${row.part}/${rest}?${params}`} row=${row} rest=${rest} params=${params} visit=${visit} />`}
    <${Foot} resting=${row.line(rest)} onKeys=${() => setKeys(true)} /><${Keys} open=${keys} onClose=${() => setKeys(false)} /><${Palette} open=${palette !== null} begin=${palette} onClose=${() => setPalette(null)} visit=${visit} />`;
}

const root = document.getElementById('console');
root.replaceChildren();
render(html`<${Console} />`, root);
listen({ place: () => place, redraw: touch, keys: () => openKeys(), palette: (begin) => openPalette(begin), visit });
connect();
// Lines that somebody wants to be told of are looked for on every page; most people have asked for none.
try { if (localStorage.getItem(alertsKey)) import('./alerts.js').catch(() => {}); } catch { /* A browser that keeps nothing has none. */ }
// Countdowns, ages, and whether what is shown has grown old; not where the load has just been told, each second too.
setInterval(() => { if (Date.now() - drawnAt > 500) touch(); }, 1000);
