// A page that is loaded when it is first gone to.

import { useEffect, useState } from '../vendor/hooks.js';
import { Loading } from './frame.js';
import { loadSheet } from './pages.js';
import { html } from './shapes.js';
import { say } from './words.js';

const loaded = new Map(); // by part: what draws the page

export function Later({ row, ...given }) {
  const [failed, setFailed] = useState('');
  const [, come] = useState(0);
  useEffect(() => {
    if (loaded.has(row.part)) return undefined;
    let away = false;
    Promise.all([row.load(), loadSheet(row.sheet)]).then(([draws]) => {
      loaded.set(row.part, draws);
      if (!away) come((turn) => turn + 1);
    }, (error) => { if (!away) setFailed(error.message); });
    return () => { away = true; };
  }, []);
  const Page = loaded.get(row.part);
  if (Page) return html`<${Page} ...${given} />`;
  if (!failed) return html`<main id="page" class="page"><h1 class="only-heard">${row.title}</h1><${Loading} /></main>`;
  return html`<main id="page" class="page"><section class="sheet"><div class="blank"><h1>${say.pageNotLoaded}</h1><p role="alert">${failed}</p>
    <button class="btn" type="button" onClick=${() => location.reload()}>${say.loadAgain}</button></div></section></main>`;
}
