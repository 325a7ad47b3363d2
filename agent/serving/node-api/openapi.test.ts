import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import type { Agent } from '../../agent.js';
import { reasonStatus } from './api-error.js';
import { nodeApiRoutes } from './routes/index.js';

interface Operation {
  readonly 'x-stream'?: boolean;
  readonly parameters?: readonly { readonly $ref?: string; readonly name?: string; readonly in?: string }[];
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly parameters: Readonly<Record<string, { name: string; in: string }>> };
}

const document = parse(readFileSync(new URL('openapi.yaml', import.meta.url), 'utf8')) as Document;
const methods = ['get', 'post', 'delete'];

/** Routes are data until they are asked; making them needs nothing of the agent but its runtime. */
const routes = nodeApiRoutes({ runtime: { streaming: {} } } as Agent);

test('every route is described, and nothing else is', () => {
  const described = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(([method]) => methods.includes(method))
      .map(([method, operation]) => `${method.toUpperCase()} ${path}${operation['x-stream'] ? ' (stream)' : ''}`),
  );
  const served = routes.map((route) => `${route.method} ${route.path}${'prepare' in route ? ' (stream)' : ''}`);
  expect(described.toSorted()).toEqual(served.toSorted());
});

test('every placeholder of a path is a parameter', () => {
  for (const [path, operations] of Object.entries(document.paths)) {
    const placeholders = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const shared = (operations as { parameters?: Operation['parameters'] }).parameters ?? [];
    for (const [method, operation] of Object.entries(operations).filter(([name]) => methods.includes(name))) {
      const named = [...shared, ...(operation.parameters ?? [])].map((parameter) =>
        parameter.$ref ? document.components.parameters[parameter.$ref.split('/').at(-1) ?? ''] : parameter,
      );
      const inPath = named.filter((parameter) => parameter?.in === 'path').map((parameter) => parameter?.name);
      expect(new Set(inPath), `${method} ${path}`).toEqual(new Set(placeholders));
    }
  }
});

test('every reference leads somewhere', () => {
  const text = readFileSync(new URL('openapi.yaml', import.meta.url), 'utf8');
  for (const [, place = ''] of text.matchAll(/\$ref: '#\/([^']+)'/g)) {
    const found = place
      .split('/')
      .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], document);
    expect({ place, leadsTo: typeof found }).toEqual({ place, leadsTo: 'object' });
  }
});

test('reasons have statuses of failures', () => {
  for (const status of Object.values(reasonStatus)) expect(status).toBeGreaterThanOrEqual(400);
});
