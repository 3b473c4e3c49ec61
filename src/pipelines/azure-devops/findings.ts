import { PipelineError } from '../../errors.ts';

export interface Finding {
  level: 'error' | 'warning';
  message: string;
}

/** What a check came upon: nothing, or why it could not be done. */
export async function finding(work: () => Promise<void>): Promise<Finding[]> {
  try {
    await work();
    return [];
  } catch (error) {
    if (error instanceof PipelineError) return [{ level: 'error', message: error.message }];
    throw error;
  }
}
