// A layered drawing: what is needed stands left of what needs it, in columns, with few crossings; pure numbers, no page.

const GAP = 18; // below a node
const NARROW = 6; // below a line that passes
const BETWEEN = 58; // between columns, for the lines
export const EDGE = 12; // around all of it
const THIN = 8; // how high a line is that passes through a column
const SWEEPS = 6;

/** How deep each key stands: nothing that it needs stands as deep. In a ring, the first by name is taken as free. */
export function depthsOf(keys, needs) {
  const known = new Set(keys);
  const left = new Map(keys.map((key) => [key, new Set((needs.get(key) || []).filter((other) => known.has(other) && other !== key))]));
  const users = new Map(keys.map((key) => [key, []]));
  for (const [key, others] of left) for (const other of others) users.get(other).push(key);
  const depths = new Map();
  let free = keys.filter((key) => !left.get(key).size);
  while (left.size) {
    if (!free.length) free = [[...left.keys()].sort()[0]];
    const next = [];
    for (const key of free) {
      if (!left.delete(key)) continue;
      depths.set(key, Math.max(0, ...(needs.get(key) || []).filter((other) => depths.has(other)).map((other) => depths.get(other) + 1)));
      for (const user of users.get(key)) {
        const others = left.get(user);
        others?.delete(key);
        if (others && !others.size) next.push(user);
      }
    }
    free = next;
  }
  return depths;
}

/** Centres as near to those that are wished for as their order and their heights let them be. */
function spread(column, wished) {
  const blocks = [];
  let above = 0;
  for (const [at, one] of column.entries()) {
    const offset = above + one.height / 2;
    above += one.height + one.gap;
    let block = { sum: wished[at] - offset, count: 1, from: at };
    while (blocks.length && blocks.at(-1).sum / blocks.at(-1).count > block.sum / block.count) {
      const before = blocks.pop();
      block = { sum: before.sum + block.sum, count: before.count + block.count, from: before.from };
    }
    blocks.push(block);
  }
  above = 0;
  let turn = 0;
  for (const [at, one] of column.entries()) {
    while (turn + 1 < blocks.length && blocks[turn + 1].from <= at) turn += 1;
    one.middle = blocks[turn].sum / blocks[turn].count + above + one.height / 2;
    above += one.height + one.gap;
  }
}

const mean = (list, otherwise) => (list.length ? list.reduce((sum, one) => sum + one, 0) / list.length : otherwise);

/**
 * Places for nodes ({key, height}) of one width, and ways for edges ({from, to, at}): from what is needed to what needs it, at
 * so many pixels below its top. Gives {width, height, places: by key {x, y}, ways: for each edge its points}.
 */
export function layered(nodes, edges, width) {
  const needs = new Map(nodes.map((node) => [node.key, []]));
  for (const edge of edges) needs.get(edge.to).push(edge.from);
  const depths = depthsOf(nodes.map((node) => node.key), needs);
  const columns = Array.from({ length: Math.max(0, ...depths.values()) + 1 }, () => []);
  const standing = new Map();
  const put = (one, depth) => { columns[depth].push(one); return one; };
  for (const node of nodes) standing.set(node.key, put({ ...node, gap: GAP, before: [], after: [], middle: 0 }, depths.get(node.key)));
  // A line that is longer than one column has a place in each that it passes.
  const through = edges.map((edge) => {
    const passed = [];
    let last = standing.get(edge.from);
    for (let depth = depths.get(edge.from) + 1; depth < depths.get(edge.to); depth += 1) {
      const thin = put({ height: THIN, gap: NARROW, before: [last], after: [], middle: 0 }, depth);
      last.after.push(thin);
      passed.push(thin);
      last = thin;
    }
    if (depths.get(edge.from) < depths.get(edge.to)) {
      const end = standing.get(edge.to);
      last.after.push(end);
      end.before.push(last);
    }
    return passed;
  });
  const number = (column) => column.forEach((one, at) => { one.at = at; });
  columns.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const side = sweep % 2 ? 'after' : 'before';
    for (const column of sweep % 2 ? [...columns].reverse() : columns) {
      const weights = new Map(column.map((one) => [one, mean(one[side].map((other) => other.at), one.at)]));
      column.sort((a, b) => weights.get(a) - weights.get(b) || a.at - b.at);
      number(column);
    }
  }
  for (const column of columns) spread(column, column.map((one) => one.at * (one.height + one.gap)));
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const side = sweep % 2 ? 'after' : 'before';
    for (const column of sweep % 2 ? [...columns].reverse() : columns) spread(column, column.map((one) => mean(one[side].map((other) => other.middle), one.middle)));
  }
  const all = columns.flat();
  const top = all.reduce((least, one) => Math.min(least, one.middle - one.height / 2), Infinity);
  const low = all.reduce((most, one) => Math.max(most, one.middle + one.height / 2), 0);
  const left = (depth) => EDGE + depth * (width + BETWEEN);
  const places = new Map(nodes.map(({ key, height }) => [key, { x: left(depths.get(key)), y: Math.round(standing.get(key).middle - height / 2 - top) + EDGE }]));
  const ways = edges.map((edge, at) => {
    const from = places.get(edge.from);
    const to = places.get(edge.to);
    const first = depths.get(edge.from) + 1;
    const passed = through[at].flatMap((one, i) => [[left(first + i), one.middle - top + EDGE], [left(first + i) + width, one.middle - top + EDGE]]);
    return [[from.x + width, from.y + standing.get(edge.from).height / 2], ...passed, [to.x, to.y + edge.at]];
  });
  return { width: left(columns.length - 1) + width + EDGE, height: nodes.length ? Math.ceil(low - top) + 2 * EDGE : 0, places, ways };
}
