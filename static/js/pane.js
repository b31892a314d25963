// The log of one watcher, on its page.

import { useMemo, useState } from '../vendor/hooks.js';
import { html } from './shapes.js';
import { Feed } from './feed.js';
import { everything } from './query.js';
import { Reader } from './reader.js';
import { base } from './page.js';
import { read, say } from './words.js';

export default function Pane({ watcher }) {
  const feed = useMemo(() => new Feed([watcher.name]), [watcher.name]);
  const [query, setQuery] = useState(everything);
  const { captured, why } = watcher.output;
  const blank = captured ? html`<div class="blank first"><p>${say.noLine} ${why}</p></div>` : html`<div class="blank"><p>${say.notCaptured} ${why}</p></div>`;
  const tools = html`<div class="row end"><a class="btn small" href=${`${base}/logs/?w=${encodeURIComponent(watcher.name)}`}>${read.wholeScreen}</a></div>`;
  return html`<${Reader} feed=${feed} watchers=${useMemo(() => [watcher.name], [watcher.name])} query=${query} setQuery=${setQuery} heading=${say.log} blank=${blank} tools=${tools} />`;
}

