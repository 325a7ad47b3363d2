export interface RetryDelayOptions {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** As the kubelet waits between two tries of one plugin or volume. */
export const kubeletRetry: RetryDelayOptions = { firstMs: 500, longestMs: 122_000 };

/** How long to wait after the n-th failed attempt, n from 1. */
export function retryDelay(attempt: number, options: RetryDelayOptions): number {
  return Math.min(options.firstMs * 2 ** Math.min(attempt - 1, 30), options.longestMs);
}
