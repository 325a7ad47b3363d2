import type { ListMeta } from '../../../api/index.js';
import type { ApiClient } from './api-client.js';
import { ApiError, isExpired } from './api-error.js';
import type { WatchedObject } from './watch-stream.js';

export interface ListRequest {
  readonly path: string;
  readonly fieldSelector?: string | undefined;
}

export interface Listed<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
}

interface Page<T> {
  readonly kind?: string | undefined;
  readonly apiVersion?: string | undefined;
  readonly metadata?: ListMeta | undefined;
  readonly items?: readonly T[] | null | undefined;
}

const pageSize = 500;

/** All pages of a list. One whose continuation expired is read anew in one piece. */
export async function listAll<T extends WatchedObject>(
  client: ApiClient,
  { path, fieldSelector }: ListRequest,
  signal: AbortSignal,
): Promise<Listed<T>> {
  const items: T[] = [];
  let token: string | undefined;
  let limit: number | undefined = pageSize;
  while (true) {
    let page: Page<T>;
    try {
      const query: Record<string, string | number | undefined> = { fieldSelector, limit, continue: token };
      page = await client.json<Page<T>>({ method: 'GET', path, query }, signal);
    } catch (err) {
      if (token === undefined || !isExpired(err)) throw err;
      items.length = 0;
      token = undefined;
      limit = undefined;
      continue;
    }
    const { metadata, kind = '' } = page;
    if (!kind.endsWith('List') || typeof metadata?.resourceVersion !== 'string')
      throw new ApiError(`GET ${path}: the answer is not a list`, { code: 'garbage' });
    // Items of a list do not say what they are.
    const stamp = { apiVersion: page.apiVersion, kind: kind.slice(0, -'List'.length) };
    for (const item of page.items ?? []) items.push({ ...stamp, ...item });
    token = metadata.continue === '' ? undefined : metadata.continue;
    if (token === undefined) return { items, resourceVersion: metadata.resourceVersion };
  }
}
