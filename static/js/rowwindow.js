// The rows of a long table that are in sight, and how high all others are; the page scrolls, and the table with it.

import { useEffect, useLayoutEffect, useReducer, useRef } from '../vendor/hooks.js';

const FEW = 100; // rows that are drawn whatever is in sight
const BEYOND = 500; // pixels above and below the window that are drawn as well
const STEP = 100; // pixels that the page may be scrolled before rows are chosen anew

/**
 * Which of the rows have to be drawn: parts of {rows} and {space}, in their order, and a reference for the body of the table.
 * Rows have a `key`, and are drawn with it as `data-row`. The one with the key `pinned` is always drawn, so that it can
 * have the focus.
 */
export function useRowWindow(rows, pinned) {
  const body = useRef();
  const heights = useRef({ width: 0, known: new Map(), usual: 37 });
  const at = useRef(0);
  const [, draw] = useReducer((turn) => turn + 1, 0);
  const long = rows.length > FEW;

  useEffect(() => {
    if (!long) return undefined;
    let frame = 0;
    const look = () => {
      frame = 0;
      const top = body.current ? -body.current.getBoundingClientRect().top : 0;
      if (Math.abs(top - at.current) >= STEP) { at.current = top; draw(); }
    };
    const moved = () => { frame ||= requestAnimationFrame(look); };
    addEventListener('scroll', moved, { passive: true });
    addEventListener('resize', moved);
    moved();
    return () => { removeEventListener('scroll', moved); removeEventListener('resize', moved); cancelAnimationFrame(frame); };
  }, [long]);

  // Heights as they are: a card on a phone, or a row with a note under it, is higher than another.
  useLayoutEffect(() => {
    if (!long || !body.current) return;
    const held = heights.current;
    if (held.width !== innerWidth) { held.width = innerWidth; held.known.clear(); }
    const gap = parseFloat(getComputedStyle(body.current).rowGap) || 0;
    let sum = 0;
    let count = 0;
    for (const row of body.current.querySelectorAll('tr[data-row]')) {
      const height = row.offsetHeight + gap;
      held.known.set(row.dataset.row, height);
      sum += height;
      count += 1;
    }
    const usual = count ? sum / count : held.usual;
    if (Math.abs(usual - held.usual) > 0.5) { held.usual = usual; draw(); }
  });

  if (!long) return { body, parts: [{ rows, from: 0 }] };
  const { known, usual } = heights.current;
  const [above, below] = [at.current - BEYOND, at.current + innerHeight + BEYOND];
  const parts = [];
  let y = 0;
  rows.forEach((row, index) => {
    const height = known.get(row.key) ?? usual;
    const drawn = row.key === pinned || (y + height > above && y < below);
    const last = parts.at(-1);
    if (drawn && last?.rows) last.rows.push(row);
    else if (drawn) parts.push({ rows: [row], from: index });
    else if (last?.space) last.space += height;
    else parts.push({ space: height });
    y += height;
  });
  return { body, parts };
}
