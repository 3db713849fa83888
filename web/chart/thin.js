// Fewer rows for drawing, with every peak still in them.

/** Rows {ms, value} reduced to the lowest and highest of each stretch; gaps (null) stay. */
export function thin(rows, most) {
  if (rows.length <= most) return rows;
  const size = Math.ceil((rows.length * 2) / most);
  const kept = [];
  for (let start = 0; start < rows.length; start += size) {
    const stretch = rows.slice(start, start + size);
    let low = null;
    let high = null;
    const marks = new Set([stretch[0]]);
    for (const row of stretch) {
      if (row.value === null) marks.add(row);
      else {
        if (low === null || row.value < low.value) low = row;
        if (high === null || row.value > high.value) high = row;
      }
    }
    if (low) marks.add(low).add(high);
    kept.push(...[...marks].sort((a, b) => a.ms - b.ms));
  }
  const last = rows.at(-1);
  if (kept.at(-1) !== last) kept.push(last);
  return kept;
}
