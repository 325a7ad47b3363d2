import type { ImageService } from './image-service.js';
import type { RuntimeService } from './runtime-service.js';
import type { StreamingService } from './streaming-service.js';

/** One container runtime behind the contract: embedded, Docker, or a CRI socket. Disposing it stops no container. */
export interface CriRuntime extends AsyncDisposable {
  readonly runtime: RuntimeService;
  readonly images: ImageService;
  readonly streaming: StreamingService;
}
