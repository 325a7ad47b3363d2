import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { BerthError, errnoOf, errorText } from '../../../base/errors.js';
import type { ConfigProblem } from './decode-fields.js';
import type { Fields } from './field-types.js';
import { mergePatch } from './merge-patch.js';
import { loadYaml } from '../../../base/yaml.js';

export type ConfigFailure = { readonly code: 'invalid'; readonly problems: readonly ConfigProblem[] };
/** All problems of a configuration in one message, each with its path. */
export class ConfigError extends BerthError<ConfigFailure> {
  constructor(problems: readonly ConfigProblem[]) {
    const lines = problems.map(({ path, message }) => `  ${path === '' ? '' : `${path}: `}${message}`);
    super(
      `read the configuration: ${problems.length} problem${problems.length === 1 ? '' : 's'}:\n${lines.join('\n')}`,
      {
        code: 'invalid',
        problems,
      },
    );
  }
}

export const kubeletKind = { apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration' } as const;
export const berthKind = { apiVersion: 'berth/v1', kind: 'BerthConfiguration' } as const;

type Json = Record<string, unknown>;

export interface Documents {
  readonly kubelet: Json;
  readonly berth: Json;
}

/** The documents of `--config`, with the drop-ins of `--config-dir` merged in: `*.conf`, all folders, in the order of their paths. */
export async function readDocuments(
  file: string | undefined,
  dropInDir: string | undefined,
  fields: Fields,
): Promise<Documents> {
  const problems: ConfigProblem[] = [];
  let merged: Documents = { kubelet: {}, berth: {} };
  const files = [
    ...(file === undefined ? [] : [file]),
    ...(dropInDir === undefined ? [] : await dropIns(dropInDir, problems)),
  ];
  for (const path of files) {
    const documents = await readFileDocuments(path, problems);
    if (path === file) resolvePaths(documents.kubelet, fields, dirname(resolve(path)));
    merged = {
      kubelet: mergePatch(merged.kubelet, documents.kubelet) as Json,
      berth: mergePatch(merged.berth, documents.berth) as Json,
    };
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return merged;
}

async function dropIns(folder: string, problems: ConfigProblem[]): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.name.endsWith('.conf') && !entry.isDirectory());
    return files.map((entry) => join(entry.parentPath, entry.name)).toSorted();
  } catch (err) {
    problems.push({ path: folder, message: `cannot be read (${errnoOf(err) ?? errorText(err)})` });
    return [];
  }
}

async function readFileDocuments(path: string, problems: ConfigProblem[]): Promise<Documents> {
  const found: { kubelet?: Json; berth?: Json } = {};
  const wrong = (message: string): void => void problems.push({ path, message });
  let roots: unknown[] = [];
  try {
    roots = parseAll(await readFile(path, 'utf8'));
  } catch (err) {
    wrong(errnoOf(err) === undefined ? errorText(err) : `cannot be read (${errnoOf(err)})`);
    return { kubelet: {}, berth: {} };
  }
  if (roots.length === 0) wrong('is empty');
  for (const root of roots) {
    const { apiVersion, kind, ...fields } = (typeof root === 'object' && root !== null ? root : {}) as Json;
    const is = (each: typeof kubeletKind | typeof berthKind): boolean =>
      apiVersion === each.apiVersion && kind === each.kind;
    const word = is(kubeletKind) ? 'kubelet' : is(berthKind) ? 'berth' : undefined;
    if (word === undefined)
      wrong(
        `expected ${kubeletKind.apiVersion} ${kubeletKind.kind} or ${berthKind.apiVersion} ${berthKind.kind}, got ${JSON.stringify(apiVersion)} ${JSON.stringify(kind)}`,
      );
    else if (found[word]) wrong(`holds ${kind as string} twice`);
    else found[word] = fields;
  }
  return { kubelet: found.kubelet ?? {}, berth: found.berth ?? {} };
}

function parseAll(text: string): unknown[] {
  const { parseAllDocuments } = loadYaml();
  const documents = parseAllDocuments(text);
  if (!Array.isArray(documents)) return [];
  for (const { errors } of documents) if (errors[0]) throw new Error(errors[0].message.split('\n')[0]);
  return documents.map((document) => document.toJS() as unknown).filter((root) => root !== null);
}

/** Paths in a file are relative to it. */
function resolvePaths(value: Json, fields: Fields, folder: string): void {
  for (const [key, field] of Object.entries(fields)) {
    const at = value[key];
    if (field.is === 'path' && typeof at === 'string' && at !== '') value[key] = resolve(folder, at);
    if (field.is === 'object' && typeof at === 'object' && at !== null) resolvePaths(at as Json, field.fields, folder);
  }
}
