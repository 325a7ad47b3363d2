/**
 * Loads a CommonJS package so that a failure is not for ever. A package is many files; when one of them cannot be read (no file
 * descriptor is left, say), those that were read before it stay in Node's cache, and may hold exports of one that will never be finished. All
 * that the attempt loaded is forgotten, so that the next one begins anew.
 *
 * `import` cannot be used for this. It keeps the failure until the process ends, ends the process over a rejection that nobody can handle,
 * and every other module that imports the same package afterwards is evaluated with all its names undefined ("loadSync is not a function").
 */
export function requireWhole(require: NodeJS.Require, name: string): unknown {
  const { cache } = require;
  const before = cache[require.resolve(name)];
  if (before?.loaded === true) return before.exports;
  const finished = new Set<string>();
  const known = new Set(Object.keys(cache));
  for (const file of known) if (cache[file]?.loaded === true) finished.add(file);
  try {
    return require(name);
  } catch (err) {
    for (const file of Object.keys(cache)) {
      // What somebody else has begun to import is his, as long as we have not finished it.
      if (!known.has(file) || (!finished.has(file) && cache[file]?.loaded === true)) delete cache[file];
    }
    throw err;
  }
}
