/** One path of the kubelet's API. */
export interface RouteSpec<N extends string = string> {
  readonly name: N;
  /** `{name}` is one part, `{rest...}` whatever follows. */
  readonly path: string;
  /** Undefined: the kubelet looks at no method there. */
  readonly methods?: readonly string[] | undefined;
  /** Off with `enableDebuggingHandlers: false`: answers that it is, or is not there at all. */
  readonly debugging?: 'answers-disabled' | 'absent' | undefined;
}

const streamed = ['GET', 'POST'];

/** Answered on the port without authentication as well, where there is one. */
export const openToAll: ReadonlySet<string> = new Set([
  ...['healthz', 'pods', 'summary', 'metrics', 'cadvisorMetrics', 'resourceMetrics', 'probeMetrics', 'sliMetrics'],
]);

/** Everything :10250 answers (facts 9.2). Nothing is added while it runs. */
export const routeTable = [
  { name: 'healthz', path: '/healthz' },
  { name: 'healthz', path: '/healthz/{check}' },
  { name: 'pods', path: '/pods', methods: ['GET'] },
  { name: 'summary', path: '/stats/summary', methods: streamed },
  { name: 'metrics', path: '/metrics' },
  { name: 'cadvisorMetrics', path: '/metrics/cadvisor' },
  { name: 'resourceMetrics', path: '/metrics/resource' },
  { name: 'probeMetrics', path: '/metrics/probes' },
  { name: 'sliMetrics', path: '/metrics/slis' },
  { name: 'run', path: '/run/{namespace}/{pod}/{container}', methods: ['POST'], debugging: 'answers-disabled' },
  { name: 'run', path: '/run/{namespace}/{pod}/{uid}/{container}', methods: ['POST'], debugging: 'answers-disabled' },
  { name: 'exec', path: '/exec/{namespace}/{pod}/{container}', methods: streamed, debugging: 'answers-disabled' },
  { name: 'exec', path: '/exec/{namespace}/{pod}/{uid}/{container}', methods: streamed, debugging: 'answers-disabled' },
  { name: 'attach', path: '/attach/{namespace}/{pod}/{container}', methods: streamed, debugging: 'answers-disabled' },
  {
    name: 'attach',
    path: '/attach/{namespace}/{pod}/{uid}/{container}',
    methods: streamed,
    debugging: 'answers-disabled',
  },
  { name: 'portForward', path: '/portForward/{namespace}/{pod}', methods: streamed, debugging: 'answers-disabled' },
  {
    name: 'portForward',
    path: '/portForward/{namespace}/{pod}/{uid}',
    methods: streamed,
    debugging: 'answers-disabled',
  },
  {
    name: 'containerLogs',
    path: '/containerLogs/{namespace}/{pod}/{container}',
    methods: ['GET'],
    debugging: 'answers-disabled',
  },
  { name: 'runningPods', path: '/runningpods', methods: ['GET'], debugging: 'answers-disabled' },
  { name: 'nodeLogs', path: '/logs', methods: ['GET'], debugging: 'answers-disabled' },
  { name: 'nodeLogs', path: '/logs/{rest...}', methods: ['GET'], debugging: 'answers-disabled' },
  { name: 'statusz', path: '/statusz', methods: ['GET'] },
  { name: 'flagz', path: '/flagz', methods: ['GET'] },
  { name: 'configz', path: '/configz', debugging: 'absent' },
  { name: 'checkpoint', path: '/checkpoint/{namespace}/{pod}/{container}', methods: ['POST'], debugging: 'absent' },
  { name: 'profiling', path: '/debug/pprof', debugging: 'answers-disabled' },
  { name: 'profiling', path: '/debug/pprof/{rest...}', debugging: 'answers-disabled' },
  { name: 'debugFlags', path: '/debug/flags/v', debugging: 'absent' },
] as const satisfies readonly RouteSpec[];

export type RouteName = (typeof routeTable)[number]['name'];
/** Those that take the connection over. */
export type StreamRouteName = 'exec' | 'attach' | 'portForward';
export type CallRouteName = Exclude<RouteName, StreamRouteName>;
