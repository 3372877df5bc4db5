//! Questions to the owner of the network, which it answers later: whether a peer may connect, and requests to make a connection.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Open questions, by their numbers. A question is forgotten as soon as nobody waits for its answer.
pub(super) struct Questions<T>(Arc<Mutex<Open<T>>>);

struct Open<T> {
    asked: u64,
    waiting: HashMap<u64, oneshot::Sender<T>>,
}

impl<T> Default for Questions<T> {
    fn default() -> Self {
        Questions(Arc::new(Mutex::new(Open { asked: 0, waiting: HashMap::new() })))
    }
}

impl<T> Questions<T> {
    /// A new question. The owner answers it by its number.
    pub(super) fn ask(&self) -> Question<T> {
        let (answer, answered) = oneshot::channel();
        let open = &mut *self.0.lock();
        open.asked += 1;
        open.waiting.insert(open.asked, answer);
        Question { number: open.asked, answered, questions: Questions(Arc::clone(&self.0)) }
    }

    /// Passes on an answer. Returns it if nobody waits for it any more.
    pub(super) fn answer(&self, number: u64, answer: T) -> Result<(), T> {
        let waiting = self.0.lock().waiting.remove(&number);
        match waiting {
            Some(waiting) => waiting.send(answer),
            None => Err(answer),
        }
    }
}

/// A question that waits for its answer.
pub(super) struct Question<T> {
    pub(super) number: u64,
    answered: oneshot::Receiver<T>,
    questions: Questions<T>,
}

impl<T> Question<T> {
    /// Waits for the answer; `None` if there will be none. Cancellation-safe.
    pub(super) async fn answered(&mut self) -> Option<T> {
        (&mut self.answered).await.ok()
    }
}

impl<T> Drop for Question<T> {
    fn drop(&mut self) {
        self.questions.0.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_question_gets_its_own_answer_once() {
        let questions = Questions::default();
        let (mut first, mut second) = (questions.ask(), questions.ask());
        assert_eq!(questions.answer(second.number, 'b'), Ok(()));
        assert_eq!(questions.answer(first.number, 'a'), Ok(()));
        assert_eq!((first.answered().await, second.answered().await), (Some('a'), Some('b')));
        assert_eq!(questions.answer(first.number, 'c'), Err('c'));
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_question_that_nobody_waits_for() {
        let questions = Questions::default();
        let numbers: Vec<u64> = (0..100).map(|_| questions.ask().number).collect();
        assert!(questions.0.lock().waiting.is_empty());
        assert_eq!(questions.answer(numbers[0], 1), Err(1));
    }
}
