//! The machine's clock is set while payments are under way (fault scenario 22).

use std::time::Duration;

use dukou_domain::PaymentState;
use dukou_spi::OrderWord;

use crate::support::{House, lost, order, paid};

const JUMP: i64 = 600_000;
const STEP: Duration = Duration::from_secs(10);

/// Watches: plans in a time that the clock's jumps do not reach. In the clock's time, all questions of ten minutes come
/// at once when it is set forward, and none for ten minutes when it is set back.
#[tokio::test]
async fn f22_questions_keep_their_pace_when_the_clock_is_set() {
    for jump in [0, JUMP, -JUMP] {
        let house = House::new();
        // One every ten seconds; each is asked after a minute later, and again four minutes after that.
        for index in 0..30 {
            house.create(&format!("N-{index}")).await;
            house.wait(STEP);
            house.engine.run_due().await;
        }
        house.set_clock(jump);
        let mut asked = Vec::new();
        for _ in 0..24 {
            house.wait(STEP);
            let before = house.calls("query");
            house.engine.run_due().await;
            asked.push(house.calls("query") - before);
        }
        let total: usize = asked.iter().sum();
        assert!(asked.iter().all(|count| *count <= 3), "a burst after {jump}: {asked:?}");
        assert!(asked.windows(3).all(|three| three.iter().sum::<usize>() > 0), "a stall after {jump}: {asked:?}");
        assert!((24..=34).contains(&total), "{jump}: {asked:?}");
    }
}

#[tokio::test]
async fn f22_a_lost_answer_is_found_at_its_time_and_a_payment_ends_at_its_own() {
    for jump in [JUMP, -JUMP] {
        let house = House::new();
        house.script(|script| {
            script.pay.push_back(Err(lost()));
            script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 101, "app", "mch", "42"))));
        });
        house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
        house.set_clock(jump);
        house.wait(Duration::from_secs(4));
        house.engine.run_due().await;
        assert_eq!(house.read("N-1").await.state, PaymentState::Unknown, "{jump}: too early");
        house.wait(Duration::from_secs(2));
        house.engine.run_due().await;
        assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded, "{jump}: too late");

        // What is made after the jump ends by the clock as it is now; by how much the plan is late at most is how
        // far the steady time came nearer meanwhile.
        house.create("N-2").await;
        for (minutes, state) in [(119, PaymentState::Pending), (12, PaymentState::Closed)] {
            for _ in 0..minutes {
                house.wait(Duration::from_secs(60));
                house.engine.run_due().await;
            }
            assert_eq!(house.read("N-2").await.state, state, "{jump}");
        }
    }
}
