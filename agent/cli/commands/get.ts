import { usage } from '../client/index.js';
import type { CommandContext } from '../command-context.js';
import { checkOutput, printObjects, wantsObjects } from '../output/print-objects.js';
import { parseAsked } from '../resource.js';
import { chooser, chosen } from './choose-items.js';
import { findResources, notFoundText, type Found } from './found-resources.js';
import { findFlags, type GetFlags } from './get-flags.js';

export async function get(args: readonly string[], flags: GetFlags, context: CommandContext): Promise<number> {
  checkOutput(flags.output);
  const asked = parseAsked(args);
  if (flags.watch || flags.watchOnly) {
    const [only, ...more] = asked;
    if (!only || more.length > 0) throw usage('get: only one resource type can be watched at a time');
    return await (await import('./watch-resources.js')).watchResources(only, flags, context);
  }
  const founds: Found[] = [];
  let code = 0;
  for (const { resource, names } of asked) {
    const all = await findResources(resource, findFlags(flags), context.client);
    const found = await chosen(all, await chooser(names, flags), flags);
    const absent = names.filter((name) => !all.items.some((item) => item.name === name));
    if (absent.length > 0 && !flags.ignoreNotFound) {
      for (const name of absent) context.err.write(notFoundText(all, name));
      code = 1;
    }
    // Its absence is told; an empty table would say it again.
    if (found.items.length > 0 || absent.length === 0) founds.push(found);
  }
  const isSingle = asked.length === 1 && asked[0]?.names.length === 1;
  await print(founds, isSingle, flags, context);
  return code;
}

/** Of several types the objects are one list, the tables stand below each other. */
async function print(
  founds: readonly Found[],
  isSingle: boolean,
  flags: GetFlags,
  context: CommandContext,
): Promise<void> {
  const isList = wantsObjects(flags.output) || flags.output === 'name' || flags.output?.startsWith('custom-columns=');
  const filled = founds.length > 1 ? founds.filter(({ items }) => items.length > 0) : founds;
  const [first] = filled;
  if (!first) {
    if (founds.length > 0 && !flags.ignoreNotFound) context.err.write(nothingFound(founds[0], flags));
    return;
  }
  if (isList || filled.length === 1) return await printOne(filled, isSingle, flags, context);
  for (const [index, found] of filled.entries()) {
    if (index > 0) context.out.write('\n');
    await printOne([prefixed(found)], false, flags, context);
  }
}

async function printOne(
  founds: readonly Found[],
  isSingle: boolean,
  flags: GetFlags,
  context: CommandContext,
): Promise<void> {
  const items = founds.flatMap((found) => found.items);
  await printObjects(
    context,
    {
      kind: founds[0]?.kind ?? '',
      single: isSingle,
      objects: items.map(({ object }) => object),
      names: founds.flatMap((found) => found.items.map(({ name }) => `${found.kind.toLowerCase()}/${name}`)),
      header: founds[0]?.header ?? [],
      rows: items.map(({ row }) => row),
      nothing: nothingFound(founds[0], flags).trimEnd(),
    },
    flags,
  );
}

/** `pod/web`: below each other, names alone would not say of what. */
function prefixed(found: Found): Found {
  const column = found.header.indexOf('NAME');
  const items = found.items.map((item) => ({
    ...item,
    row: item.row.map((cell, index) => (index === column ? `${found.kind.toLowerCase()}/${cell}` : cell)),
  }));
  return { ...found, items };
}

function nothingFound(found: Found | undefined, flags: GetFlags): string {
  const { namespace } = findFlags(flags);
  return namespace === undefined || found?.namespaced === false
    ? 'No resources found\n'
    : `No resources found in ${namespace} namespace.\n`;
}
