// The console: one connection, and pages that change without losing it.

import { render } from '../vendor/preact.js';
import { useEffect, useReducer, useState } from '../vendor/hooks.js';
import { base } from './page.js';
import { html } from './shapes.js';
import { Foot, Keys, Notice, Top } from './frame.js';
import { address, Overview } from './overview.js';
import { WatcherPage } from './watcher.js';
import { connect } from './live.js';
import { isLive, store, subscribe, touch } from './store.js';
import { listen } from './keys.js';
import { word } from './format.js';

function placeOf(path) {
  const within = path.startsWith(`${base}/w/`) ? path.slice(`${base}/w/`.length) : '';
  return { watcher: within ? decodeURIComponent(within) : '' };
}

let place = placeOf(location.pathname);
let openKeys = () => {};
let drawnAt = 0;

/** Goes to another page of the console, as a link would. */
function visit(path) {
  history.pushState(null, '', path);
  arrive();
}

function arrive() {
  place = placeOf(location.pathname);
  scrollTo(0, 0);
  touch();
}

addEventListener('popstate', arrive);
document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href]');
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || link.target) return;
  if (link.origin !== location.origin || !link.pathname.startsWith(`${base}/`)) return;
  event.preventDefault();
  if (link.pathname !== location.pathname) visit(link.pathname);
  else scrollTo(0, 0);
});

function Console() {
  const [, redraw] = useReducer((turn) => turn + 1, 0);
  const [keys, setKeys] = useState(false);
  // What nobody looks at is not drawn; a page that comes back to the front is told so.
  useEffect(() => subscribe(() => { if (!document.hidden) { drawnAt = Date.now(); redraw(); } }), []);
  openKeys = () => setKeys(true);
  const live = isLive() || !store.heard;
  useEffect(() => {
    document.body.classList.toggle('stale', !live);
    document.body.classList.toggle('screen', Boolean(place.watcher));
  });
  const resting = place.watcher ? `circusctl tail ${word(place.watcher)} --follow` : 'circusctl status';
  return html`<${Top} current=${place.watcher ? 'watcher' : 'overview'} /><${Notice} />
    ${place.watcher ? html`<${WatcherPage} key=${place.watcher} name=${place.watcher} />` : html`<${Overview} open=${(watcher) => visit(address(watcher))} />`}
    <${Foot} resting=${resting} onKeys=${() => setKeys(true)} /><${Keys} open=${keys} onClose=${() => setKeys(false)} />`;
}

const root = document.getElementById('console');
root.replaceChildren();
render(html`<${Console} />`, root);
listen({ place: () => place, redraw: touch, keys: () => openKeys(), visit, go: () => visit(`${base}/`) });
connect();
// Countdowns, ages, and whether what is shown has grown old; not where the load has just been told, each second too.
setInterval(() => { if (Date.now() - drawnAt > 500) touch(); }, 1000);
