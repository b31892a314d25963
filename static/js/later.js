// A page, or a part of one, that is loaded when it is first gone to.

import { useEffect, useState } from '../vendor/hooks.js';
import { Loading } from './frame.js';
import { loadSheet } from './pages.js';
import { html } from './shapes.js';
import { say } from './words.js';

const loaded = new Map(); // by part: what draws the page

/** What draws a row ({part, load, sheet, sheets}) once it is there, and why it did not come. */
function useLoaded({ part, load, sheet, sheets = [sheet] }) {
  const [failed, setFailed] = useState('');
  const [, come] = useState(0);
  useEffect(() => {
    if (loaded.has(part)) return undefined;
    let away = false;
    Promise.all([load(), ...sheets.map(loadSheet)]).then(([draws]) => {
      loaded.set(part, draws);
      if (!away) come((turn) => turn + 1);
    }, (error) => { if (!away) setFailed(error.message); });
    return () => { away = true; };
  }, [part]);
  return [loaded.get(part), failed];
}

/** A part of a page; until it is there, its place is empty. */
export function Part({ row, ...given }) {
  const [Draws, failed] = useLoaded(row);
  if (Draws) return html`<${Draws} ...${given} />`;
  return html`<section class=${`sheet ${row.name || ''}`}>${failed ? html`<div class="blank"><p role="alert">${say.pageNotLoaded}: ${failed}</p></div>` : html`<${Loading} />`}</section>`;
}

export function Later({ row, ...given }) {
  const [Page, failed] = useLoaded(row);
  if (Page) return html`<${Page} ...${given} />`;
  if (!failed) return html`<main id="page" class="page"><h1 class="only-heard">${row.title}</h1><${Loading} /></main>`;
  return html`<main id="page" class="page"><section class="sheet"><div class="blank"><h1>${say.pageNotLoaded}</h1><p role="alert">${failed}</p>
    <button class="btn" type="button" onClick=${() => location.reload()}>${say.loadAgain}</button></div></section></main>`;
}
