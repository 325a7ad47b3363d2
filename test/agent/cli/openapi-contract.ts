import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { parse } from 'yaml';
import { z } from 'zod';

type Json = Readonly<Record<string, unknown>>;

const file = new URL('../../../agent/serving/node-api/openapi.yaml', import.meta.url);

export interface Asked {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As the document writes it: `/v1/pods/{namespace}/{name}`. */
  readonly path: string;
  readonly params?: Readonly<Record<string, string>>;
  /** `?name=web` */
  readonly query?: string;
  readonly body?: string;
}

export interface Answered {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

/** The node API's description, to hold its answers against. */
export class OpenApiContract {
  readonly #document = parse(readFileSync(file, 'utf8')) as Json;
  readonly #asked = new Set<string>();

  /** All that is described, but streams: `GET /v1/pods`. */
  get operations(): string[] {
    const paths = this.#document['paths'] as Readonly<Record<string, Json>>;
    return Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations)
        .filter(([method, operation]) => method !== 'parameters' && !(operation as Json)['x-stream'])
        .map(([method]) => `${method.toUpperCase()} ${path}`),
    );
  }

  /** Those that were asked for and answered as described. */
  get kept(): ReadonlySet<string> {
    return this.#asked;
  }

  /** What an answer says that its description does not allow, or does not mention; empty when it keeps to it. */
  problemsOf({ method, path }: Asked, { status, contentType, text }: Answered): string[] {
    const responses = this.#at('paths', path, method.toLowerCase(), 'responses');
    const found = this.#whole(responses[String(status)] ?? responses['default']) as Json;
    const type = contentType.split(';')[0] ?? '';
    const content = (found['content'] as Json | undefined)?.[type] as Json | undefined;
    if (!content) return [`${status} with ${type} is not described`];
    const schema = content['schema'] as Json | undefined;
    const values = type === 'application/x-ndjson' ? text.split('\n').filter((line) => line !== '') : [text];
    const problems = type.includes('json') && schema ? values.flatMap((each) => misfits(schema, JSON.parse(each))) : [];
    if (problems.length === 0 && status === 200) this.#asked.add(`${method} ${path}`);
    return problems;
  }

  #at(...keys: readonly string[]): Json {
    return keys.reduce((value, key) => this.#whole(value[key]) as Json, this.#document);
  }

  /** With what it refers to in its place. */
  #whole(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((each) => this.#whole(each));
    if (typeof value !== 'object' || value === null) return value;
    const { $ref } = value as { $ref?: string };
    if ($ref !== undefined) {
      const place = $ref.slice('#/'.length).split('/');
      return this.#whole(place.reduce<unknown>((at, key) => (at as Json)[key], this.#document));
    }
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, this.#whole(each)]));
  }
}

function misfits(schema: Json, value: unknown): string[] {
  const parsed = z.fromJSONSchema(closed(schema) as Parameters<typeof z.fromJSONSchema>[0]).safeParse(value);
  return parsed.error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];
}

/** An object whose fields are described has no others: what is left out of the description is a fault of it. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const all = Object.fromEntries(Object.entries(schema).map(([key, each]) => [key, closed(each)]));
  return all['type'] === 'object' && 'properties' in all ? { additionalProperties: false, ...all } : all;
}

/** Asks as any HTTP client would. Of an answer that does not end, the first `lines` lines. */
export async function ask(socketPath: string, asked: Asked, lines = Infinity): Promise<Answered> {
  const path = asked.path.replaceAll(/\{(\w+)\}/g, (_all, name: string) =>
    encodeURIComponent(asked.params?.[name] ?? ''),
  );
  return await new Promise((resolve, reject) => {
    const sent = request({ socketPath, method: asked.method, path: `${path}${asked.query ?? ''}` }, (answer) => {
      const { statusCode: status = 0, headers } = answer;
      let text = '';
      const done = (): void => resolve({ status, contentType: headers['content-type'] ?? '', text });
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (text.split('\n').length <= lines) return;
        text = text.split('\n').slice(0, lines).join('\n');
        done();
        answer.destroy();
      });
      answer.on('end', done).on('error', () => {});
    });
    sent.on('error', reject);
    sent.end(asked.body);
  });
}
