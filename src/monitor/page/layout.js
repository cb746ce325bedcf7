// Where everything goes. Pure: a tree in, positions out.
//
// The tree grows from left to right. Children stand in a column; leaves of one parent that are too many for that stand
// in a block of several columns, behind a common trunk. How high a block may be is chosen so that the whole is as large
// as can be in the window.

export const CARD = { width: 236, height: 78 };
export const GHOST_HEIGHT = 40;
/** Widths in which something is said of an edge: between a parent and its children (`level`), and between the columns
 * of a block and before roots (`column`). */
const ROOMY = { level: 190, column: 128 };
const COMPACT = { level: 120, column: 84, isCompact: true };
/** A drawing that must be smaller than this to fit is a compact one. */
const COMPACT_BELOW = 0.5;
/** A scale at which no more is gained by standing otherwise. */
const GOOD_SCALE = 0.8;
const ROW_GAP = 16;
/** Between subtrees. */
const TREE_GAP = 34;
/** Above a block, for its trunk. */
const TRUNK_ROOM = 22;
const MARGIN = 28;
/** Leaves that may stand below each other, as tried, the plainest first. */
const ROWS_MAX = [1000, 48, 32, 24, 18, 14, 11, 9, 7, 6, 5, 4, 3, 2, 1];

/**
 * `boxes`: node or ghost with x, y, width, height. `edges`: an edge with its path and where its words end.
 * `trunks`: paths that several edges share.
 */
export function layout(tree, windowWidth, windowHeight) {
  const forest = plant(tree);
  const scaleWith = (gaps, rows) => {
    measure(forest, gaps, rows);
    return Math.min(GOOD_SCALE, windowWidth / (forest.width + 2 * MARGIN), windowHeight / (forest.height + 2 * MARGIN));
  };
  const bestOf = (gaps) => {
    const tried = ROWS_MAX.map((rows) => ({ gaps, rows, scale: scaleWith(gaps, rows) }));
    return tried.reduce((best, one) => (one.scale > best.scale * 1.02 ? one : best));
  };
  let best = bestOf(ROOMY);
  if (best.scale < COMPACT_BELOW) best = bestOf(COMPACT);
  measure(forest, best.gaps, best.rows);
  const out = {
    boxes: [],
    edges: [],
    trunks: [],
    isCompact: Boolean(best.gaps.isCompact),
    width: forest.width + 2 * MARGIN,
    height: forest.height + 2 * MARGIN,
  };
  place(forest, MARGIN, MARGIN, best.gaps, out);
  cross(forest, out);
  return out;
}

/** From nodes and edges to a forest under one invisible root. A node that several feed hangs on the first of them. */
function plant({ nodes, edges }) {
  const items = new Map();
  for (const node of nodes) items.set(node.id, { id: node.id, node, children: [], height: 0 });
  const crossing = [];
  for (const edge of [...edges].sort((a, b) => (b.bits ?? 0) - (a.bits ?? 0) || compare(a.from, b.from))) {
    const parent = items.get(edge.from);
    const child = items.get(edge.to) ?? { id: `${edge.from} ${edge.protocol} ${edge.address}`, ghost: edge, children: [] };
    if (child.parent || isAbove(child, parent)) {
      crossing.push({ edge, from: parent, to: child });
      continue;
    }
    child.parent = parent;
    child.edge = edge;
    parent.children.push(child);
  }
  const all = [...items.values()];
  for (const item of all) item.children.sort(byName);
  const roots = all.filter((item) => !item.parent).sort(byName);
  return { forest: true, children: roots, crossing };
}

function isAbove(item, other) {
  for (let at = other; at; at = at.parent) if (at === item) return true;
  return false;
}

function byName(a, b) {
  return compare(nameOf(a), nameOf(b)) || compare(a.id, b.id);
}

function nameOf(item) {
  return item.ghost ? item.ghost.address : item.node.name;
}

function compare(a, b) {
  return a.localeCompare(b, "en", { numeric: true });
}

/** Sets `width` and `height` of every subtree, and `block` where leaves stand in one. */
function measure(item, gaps, rowsMax) {
  const own = item.forest ? 0 : CARD.width;
  item.gap = item.forest ? gaps.column : gaps.level;
  item.inner = item.children.filter((child) => child.children.length > 0);
  item.leaves = item.children.filter((child) => child.children.length === 0);
  let [width, height] = [0, 0];
  for (const child of item.inner) {
    measure(child, gaps, rowsMax);
    width = Math.max(width, child.width);
    height += child.height + TREE_GAP;
  }
  const many = item.leaves.length;
  if (many > 0) {
    const columns = Math.ceil(many / rowsMax);
    const rows = Math.ceil(many / columns);
    const cell = item.leaves.every((leaf) => leaf.ghost) ? GHOST_HEIGHT : CARD.height;
    const room = columns > 1 && !item.forest ? TRUNK_ROOM : 0;
    item.block = { columns, rows, cell, room };
    width = Math.max(width, columns * CARD.width + (columns - 1) * gaps.column);
    height += room + rows * (cell + ROW_GAP) - ROW_GAP;
  } else {
    height = Math.max(0, height - TREE_GAP);
  }
  item.below = height;
  item.height = Math.max(height, item.forest ? 0 : CARD.height);
  item.width = own + (item.children.length > 0 ? item.gap + width : 0);
}

/** Puts a subtree with its upper left corner at x, y. */
function place(item, x, y, gaps, out) {
  if (!item.forest) {
    put(item, x, y + (item.height - CARD.height) / 2, CARD.height, out);
    x += CARD.width;
  }
  x += item.gap;
  y += (item.height - item.below) / 2;
  for (const child of item.inner) {
    place(child, x, y, gaps, out);
    join(item, child, gaps, out);
    y += child.height + TREE_GAP;
  }
  if (item.leaves.length > 0) placeBlock(item, x, y, gaps, out);
}

function placeBlock(item, x, y, gaps, out) {
  const { rows, columns, cell, room } = item.block;
  const top = y + room - TRUNK_ROOM / 2;
  const bus = (column) => x + column * (CARD.width + gaps.column) - gaps.column + 12;
  item.leaves.forEach((leaf, index) => {
    const column = Math.floor(index / rows);
    const height = leaf.ghost ? GHOST_HEIGHT : CARD.height;
    const left = x + column * (CARD.width + gaps.column);
    put(leaf, left, y + room + (index % rows) * (cell + ROW_GAP) + (cell - height) / 2, height, out);
    if (room === 0) return join(item, leaf, gaps, out);
    const middle = leaf.y + height / 2;
    const turn = Math.min(10, middle - top);
    const d = `M${bus(column)} ${top}V${middle - turn}q0 ${turn} ${turn} ${turn}H${left}`;
    out.edges.push({ edge: leaf.edge, child: leaf, d, x: left, y: middle, inBlock: true });
  });
  if (room > 0) {
    const [fromX, fromY] = [item.x + CARD.width, item.y + CARD.height / 2];
    const lead = bus(0) - fromX;
    const d = `M${fromX} ${fromY}C${fromX + lead * 0.6} ${fromY} ${bus(0) - lead * 0.5} ${top} ${bus(0)} ${top}H${bus(columns - 1)}`;
    out.trunks.push({ id: item.id, d });
  }
}

function put(item, x, y, height, out) {
  Object.assign(item, { x, y, boxHeight: height });
  out.boxes.push({ id: item.id, node: item.node, ghost: item.ghost, x, y, width: CARD.width, height, isRoot: !item.parent });
}

/** An edge of its own from parent to child. */
function join(parent, child, gaps, out) {
  if (parent.forest) return;
  const [fromX, fromY] = [parent.x + CARD.width, parent.y + CARD.height / 2];
  const [toX, toY] = [child.x, child.y + child.boxHeight / 2];
  // It ends level, below its words.
  const levelFrom = toX - gaps.column + 22;
  const half = (levelFrom - fromX) / 2;
  const d = `M${fromX} ${fromY}C${fromX + half} ${fromY} ${levelFrom - half} ${toY} ${levelFrom} ${toY}H${toX}`;
  out.edges.push({ edge: child.edge, child, d, x: toX, y: toY });
}

/** Edges beyond the forest: the second way into a node, or a way back. */
function cross(forest, out) {
  for (const { edge, from, to } of forest.crossing) {
    const [fromX, fromY] = [from.x + CARD.width / 2, from.y + CARD.height];
    const [toX, toY] = [to.x + CARD.width / 2, to.y];
    const bow = 60 + Math.abs(toX - fromX) / 6;
    const d = `M${fromX} ${fromY}C${fromX} ${fromY + bow} ${toX} ${toY - bow} ${toX} ${toY}`;
    out.edges.push({ edge, child: to, d, x: toX, y: toY, crossing: true });
  }
}
